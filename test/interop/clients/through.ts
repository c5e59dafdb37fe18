import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../../support/datagrams.ts';
import { Command, RawClient, readAddress, request5 } from '../../support/raw.ts';

// through.ts HOST PORT COMMAND TARGET TARGETPORT: sends hello to TARGET through the SOCKS server, by
// `connect` or `udp`, and prints the answer; `udp-again` repeats this for every SIGHUP. HOST can have a zone,
// which the relay then has too.
const [host = '', port, command = '', target = '', targetPort] = process.argv.slice(2);
const proxy = { host, port: Number(port) };
const to = { host: target, port: Number(targetPort) };

if (command.startsWith('udp')) {
  using association = await associate(proxy);
  const { relay } = association;
  const zone = relay.host.startsWith('fe80:') ? (/%.+/.exec(host)?.[0] ?? '') : '';
  using socket = await Datagrams.bind(host.includes(':') ? '::' : '0.0.0.0');
  const hello = async (): Promise<void> => {
    await socket.send(frame(to, 'hello'), { host: `${relay.host}${zone}`, port: relay.port });
    for (let wait = 0; wait < 40 && socket.waiting === 0; wait++) await delay(50);
    if (socket.waiting === 0) {
      console.log('got nothing');
      return;
    }
    const { data } = await socket.receive();
    console.log(`got ${data.subarray(data[3] === 1 ? 10 : 22).toString()}`);
  };
  process.on('SIGHUP', () => void hello());
  console.log(`relay ${relay.host} ${relay.port}`);
  await hello();
  if (command === 'udp-again') await association.control.gone();
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
