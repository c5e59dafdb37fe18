import assert from 'node:assert/strict';
import { AddressType } from '../../src/wire/address.ts';
import { decodeSocks5Reply } from '../../src/wire/socks5.ts';
import type { MemoryConnection } from './memory-connection.ts';
import { formatHex, parseHex } from './raw.ts';

/** The far end of a connection in memory: sends exactly the given bytes and exposes exactly those that it receives. */
export class MemoryClient {
  readonly connection: MemoryConnection;

  constructor(connection: MemoryConnection) {
    this.connection = connection;
  }

  get localPort(): number {
    return this.connection.local.port;
  }

  /** Sends all parts in one piece; strings are hexadecimal. */
  send(...parts: readonly (string | Uint8Array)[]): void {
    this.connection.write(Buffer.concat(parts.map(parseHex)));
  }

  /** Exactly the next `count` bytes. */
  async read(count: number): Promise<Buffer> {
    let bytes = Buffer.of();
    while (bytes.length < count) {
      const more = await this.connection.read();
      assert.ok(more, `ended, waiting for ${count} bytes, with ${formatHex(bytes)}`);
      bytes = Buffer.concat([bytes, more]);
    }
    this.connection.unread(bytes.subarray(count));
    return bytes.subarray(0, count);
  }

  /** Asserts that these bytes arrive next. */
  async expect(message: string | Uint8Array): Promise<void> {
    const expected = parseHex(message);
    assert.equal(formatHex(await this.read(expected.length)), formatHex(expected));
  }

  /** Everything up to a normal end of the stream. */
  async rest(): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let more = await this.connection.read(); more !== undefined; more = await this.connection.read())
      parts.push(more);
    return Buffer.concat(parts);
  }

  /** Waits until the connection is closed, normally or not; unread data is dropped. */
  async gone(): Promise<void> {
    await this.rest().catch(() => undefined);
  }

  /** The address and the code of a SOCKS5 reply. */
  async reply(): Promise<{ readonly code: number; readonly host: string; readonly port: number }> {
    const head = await this.read(5);
    const size = { [AddressType.ipv4]: 10, [AddressType.ipv6]: 22, [AddressType.name]: 7 + head[4]! };
    const rest = await this.read(size[head[3] as AddressType] - 5);
    const { value } = decodeSocks5Reply(Buffer.concat([head, rest]))!;
    return { code: value.code, host: value.bound.host, port: value.bound.port };
  }

  /** Ends this direction only. */
  end(): void {
    this.connection.end();
  }

  reset(): void {
    this.connection.reset();
  }
}
