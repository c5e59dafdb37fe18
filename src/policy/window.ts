import type { WhenOptions } from './policy.ts';

/** The `when` of a rule: weekdays and hours in local time of a time zone, including daylight saving time. */
export class TimeWindow {
  readonly #days: ReadonlySet<number>;
  readonly #start: number;
  readonly #end: number;
  readonly #format: Intl.DateTimeFormat;
  #block = NaN;
  #blockMinute = 0;

  /** Throws a RangeError for an unknown time zone. */
  constructor(options: WhenOptions) {
    this.#days = new Set(options.days);
    this.#start = options.hours?.start ?? 0;
    this.#end = options.hours?.end ?? MINUTES_OF_DAY;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: options.zone,
      weekday: 'short',
      hour: 'numeric',
      minute: 'numeric',
      hourCycle: 'h23',
    });
  }

  /** `time`: milliseconds since the epoch. Hours that run past midnight belong to the day they began on. */
  has(time: number): boolean {
    const weekMinute = this.#minuteOfWeek(time);
    const day = Math.floor(weekMinute / MINUTES_OF_DAY);
    const minute = weekMinute % MINUTES_OF_DAY;
    const today = this.#days.has(day);
    if (this.#start < this.#end) return today && minute >= this.#start && minute < this.#end;
    const yesterday = this.#days.has((day + 6) % 7);
    return (today && minute >= this.#start) || (yesterday && minute < this.#end);
  }

  /** The day and time in the zone: `Sat 11:00`. */
  local(time: number): string {
    const weekMinute = this.#minuteOfWeek(time);
    return `${DAYS[Math.floor(weekMinute / MINUTES_OF_DAY)]} ${formatMinute(weekMinute % MINUTES_OF_DAY)}`;
  }

  /**
   * Minutes since Sunday 00:00. UTC offsets change only at multiples of a quarter of an hour, so within one
   * the clock runs steadily.
   */
  #minuteOfWeek(time: number): number {
    const block = Math.floor(time / BLOCK);
    if (block !== this.#block) {
      const parts = this.#format.formatToParts(block * BLOCK);
      const part = (type: Intl.DateTimeFormatPartTypes): string =>
        parts.find((found) => found.type === type)!.value;
      this.#blockMinute =
        DAYS.indexOf(part('weekday')) * MINUTES_OF_DAY + Number(part('hour')) * 60 + Number(part('minute'));
      this.#block = block;
    }
    return this.#blockMinute + Math.floor((time - block * BLOCK) / 60_000);
  }
}

/** `it is Sat 11:00 in Europe/Oslo, not mon-fri 08:00-18:00` */
export function describeOutside(options: WhenOptions, time: number): string {
  const { days, hours, zone } = options;
  const span = [
    ...(days.length < DAYS.length ? [formatDays(days)] : []),
    ...(hours === undefined ? [] : [`${formatMinute(hours.start)}-${formatMinute(hours.end)}`]),
  ].join(' ');
  return `it is ${new TimeWindow(options).local(time)} in ${zone}, not ${span}`;
}

/** `mon-fri`, or `sat,mon,tue`. */
function formatDays(days: readonly number[]): string {
  const names = days.map((day) => DAYS[day]!.toLowerCase());
  const isRun = days.length > 2 && days.every((day, i) => i === 0 || day === days[i - 1]! + 1);
  return isRun ? `${names[0]}-${names.at(-1)}` : names.join(',');
}

function formatMinute(minute: number): string {
  return [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':');
}

const BLOCK = 15 * 60_000;
const MINUTES_OF_DAY = 24 * 60;
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
