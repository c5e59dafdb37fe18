import { Command, RawClient, readAddress, request5 } from '../../support/raw.ts';

// bind.ts HOST PORT PEER: requests BIND for PEER; prints the address to connect to, the peer, and the data
// that it sends.
const [host, port, peer] = process.argv.slice(2);
using client = await RawClient.connect({ host: host!, port: Number(port) });
client.send('05 01 00', request5(Command.bind, peer!, 0));
await client.expect('05 00  05 00 00');
const bound = await readAddress(client);
console.log(`bound ${bound.host} ${bound.port}`);
await client.expect('05 00 00');
const arrived = await readAddress(client);
console.log(`from ${arrived.host}`);
console.log(`got ${(await client.rest()).toString()}`);
