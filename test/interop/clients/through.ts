import { associate, Datagrams, frame } from '../../support/datagrams.ts';
import { Command, RawClient, readAddress, request5 } from '../../support/raw.ts';

// through.ts HOST PORT COMMAND TARGET TARGETPORT: says hello to TARGET through the SOCKS server, by `connect` or `udp`, and prints
// what the first reply says and what comes back. HOST may have a zone, as the relay then has.
const [host = '', port, command, target = '', targetPort] = process.argv.slice(2);
const proxy = { host, port: Number(port) };
const to = { host: target, port: Number(targetPort) };

if (command === 'udp') {
  using association = await associate(proxy);
  const { relay } = association;
  console.log(`relay ${relay.host} ${relay.port}`);
  using socket = await Datagrams.bind(host.includes(':') ? '::' : '0.0.0.0');
  const zone = relay.host.startsWith('fe80:') ? (/%.+/.exec(host)?.[0] ?? '') : '';
  await socket.send(frame(to, 'hello'), { host: `${relay.host}${zone}`, port: relay.port });
  const { data } = await socket.receive();
  console.log(`got ${data.subarray(data[3] === 1 ? 10 : 22).toString()}`);
} else {
  using client = await RawClient.connect(proxy);
  client.send('05 01 00', request5(Command.connect, to.host, to.port));
  await client.expect('05 00');
  const reply = (await client.read(3))[1];
  console.log(`reply ${reply}`);
  if (reply === 0) {
    await readAddress(client);
    client.send(Buffer.from('hello'));
    client.end();
    console.log(`got ${(await client.rest()).toString()}`);
  }
}
