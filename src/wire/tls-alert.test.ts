import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Alert, decodeAlert, encodeAlert } from './tls-alert.ts';
import type { AlertName } from './tls-alert.ts';

test('alerts are decoded as they were encoded', () => {
  for (const name of Object.keys(Alert) as AlertName[]) assert.equal(decodeAlert(encodeAlert(name)), name);
  assert.deepEqual([...encodeAlert('certificate-required')], [0x15, 3, 3, 0, 2, 2, 116]);
});

for (const hex of ['', '15', '050100', '15030300020274ff', '15030300020174', '15030300020200']) {
  test(`${hex}: no alert`, () => assert.equal(decodeAlert(Buffer.from(hex, 'hex')), undefined));
}
