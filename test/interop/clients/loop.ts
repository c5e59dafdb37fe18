import { associate, Datagrams, frame, type Association } from '../../support/datagrams.ts';

// loop.ts HOST PORT ECHO4 ECHO6 PORT: sends datagrams from one association to every destination that could
// lead back to the SOCKS server or to many hosts. The echo, at two addresses and the last PORT, answers with
// the source port, and so reveals garter's ports on that side. Prints the number of forbidden datagrams.
const [host, port, echo4, echo6, echoPort] = process.argv.slice(2);
const proxy = { host: host!, port: Number(port) };
const echoes = [echo4!, echo6!].map((address) => ({ host: address, port: Number(echoPort) }));

/** Garter's ports on the side of the echo, one for each family. */
async function outsidePorts(socket: Datagrams, association: Association): Promise<readonly number[]> {
  const ports: number[] = [];
  for (const echo of echoes) {
    await socket.send(frame(echo, 'where from?'), association.relay);
    const { data } = await socket.receive();
    ports.push(Number(data.subarray(frame(echo, '').length).toString()));
  }
  return ports;
}

function words(text: string): readonly string[] {
  return text.split(' ');
}

using one = await associate(proxy);
using two = await associate(proxy);
using socket = await Datagrams.bind('0.0.0.0');
using other = await Datagrams.bind('0.0.0.0');
const outside = [...(await outsidePorts(socket, one)), ...(await outsidePorts(other, two))];

const inside = [one.relay.port, two.relay.port];
const itself = words('10.77.1.1 ::ffff:10.77.1.1 64:ff9b::a4d:101 proxy.far.test');
const everywhere = [
  ...itself,
  ...words('10.77.2.1 172.17.0.1 127.0.0.1 127.9.9.9 0.0.0.0 fd77:1::1 fd77:2::1 ::1 ::'),
];
const many = [
  ...words('many.far.test 255.255.255.255 10.77.1.255 10.77.2.255 224.0.0.1 239.255.255.250'),
  ...words('::ffff:255.255.255.255 ::ffff:224.0.0.1 ff02::1 ff05::c'),
];
const nowhere = [
  ...itself.flatMap((address) => inside.map((number) => ({ host: address, port: number }))),
  ...everywhere.flatMap((address) => outside.map((number) => ({ host: address, port: number }))),
  ...many.map((address) => ({ host: address, port: 9 })),
];
for (const to of nowhere) {
  await socket.send(frame(to, 'to nowhere'), one.relay);
  // Not faster than garter can decide, so that none is dropped for another reason.
  await outsidePorts(socket, one);
}
console.log(nowhere.length);
