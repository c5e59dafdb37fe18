import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

// echo.ts PORT NAME [ADDRESS]...: returns what a TCP or UDP client sends, preceded by NAME and the client's
// address. For UDP, a machine with several addresses must list those that answer.
const [port, name, ...addresses] = process.argv.slice(2);
const greeting = (address: string | undefined): string =>
  `${name} hears ${(address ?? '').replace(/^::ffff:/, '')}: `;

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.write(greeting(socket.remoteAddress));
  socket.pipe(socket);
});
for (const address of ['::', ...addresses]) {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', reuseAddr: true });
  socket.on('message', (data, from) =>
    socket.send(greeting(from.address) + data.toString(), from.port, from.address),
  );
  socket.bind(Number(port), address);
}
server.listen(Number(port), '::', () => console.log('ready'));
