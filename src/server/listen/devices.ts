import { deviceIn } from '../../net/egress.ts';
import type { Engine } from '../../net/engine.ts';
import { formatListenAddress } from './listeners.ts';
import type { Settings } from '../settings.ts';

/** Throws when the settings bind something to a network interface and this engine cannot do that. */
export function checkDevices(
  { listeners, routes = [] }: Settings,
  engine: Pick<Engine, 'deviceFault'>,
): void {
  const wanted = [
    ...listeners.map(({ address, interface: device }) => ({
      device,
      who: `${formatListenAddress(address)}: interface: ${device}`,
      remedy: '',
    })),
    ...routes.map(({ name, egress }) => {
      const device = egress && deviceIn(egress);
      return { device, who: `route ${name}: egress: ${device}`, remedy: '; or write its addresses' };
    }),
  ].find(({ device }) => device !== undefined);
  if (wanted === undefined) return;
  const fault = engine.deviceFault();
  if (fault !== undefined) throw new Error(`${wanted.who} ${fault}${wanted.remedy}`);
}
