import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { associate, Datagrams, frame } from '../../support/datagrams.ts';

// ask.ts HOST PORT SERVER NAME: asks a name server for the IPv6 addresses of NAME, by UDP through the SOCKS
// server.
const [host, port, server, name] = process.argv.slice(2);
using association = await associate({ host: host!, port: Number(port) });
using socket = await Datagrams.bind(host!.includes(':') ? '::' : '0.0.0.0');
const question = encode({
  type: 'query',
  flags: RECURSION_DESIRED,
  questions: [{ type: 'AAAA', name: name! }],
});
await socket.send(frame({ host: server!, port: 53 }, question), association.relay);
const { data } = await socket.receive();
const { answers = [] } = decode(data.subarray(data[3] === 1 ? 10 : 22));
for (const answer of answers) if (answer.type === 'AAAA') console.log(answer.data);
