import { decodeAlert, encodeAlert } from '../../../src/wire/tls-alert.ts';
import { hex, keeps, same } from '../target.ts';
import type { Target } from '../target.ts';

export const targets: readonly Target[] = [
  {
    name: 'tls-alert',
    testRuns: 20_000,
    seeds: ['15030300020274', '1503030002022a', '15030300020230', '15030100020174', '050100'].map(hex),
    tokens: ['150303', '0002', '02', '2b', '2d', '2e', '31', '74'].map(hex),
    run(input) {
      const name = decodeAlert(input);
      if (name === undefined) return 'none';
      same('an alert is written as it came', Buffer.from(encodeAlert(name)), Buffer.from(input));
      const longer = Buffer.concat([input, hex('00')]);
      keeps('an alert is all that there is', decodeAlert(longer) === undefined);
      keeps('a part of an alert is none', decodeAlert(input.subarray(0, -1)) === undefined);
      return name;
    },
  },
];
