import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

// echo.ts PORT: tells whoever comes by TCP or UDP what it has said, with its address in front.
const port = Number(process.argv[2]);
const mapped = (address: string | undefined): string => (address ?? '').replace(/^::ffff:/, '');

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.write(`${mapped(socket.remoteAddress)} `);
  socket.pipe(socket);
});
const socket = createSocket('udp6');
socket.on('message', (data, from) =>
  socket.send(`${mapped(from.address)} ${data.toString()}`, from.port, from.address),
);
server.listen(port, '::', () => socket.bind(port, '::', () => console.log('ready')));
