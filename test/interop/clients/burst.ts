import { RawClient, readAddress, Command, request5 } from '../../support/raw.ts';

// burst.ts HOST PORT NAME COUNT: requests COUNT pages from NAME through the SOCKS server, twenty at a time.
// Prints one result each: `page`, `lost` after the server granted the request, or `refused`.
const [host, port, name, count] = process.argv.slice(2);
const GET = Buffer.from(`GET / HTTP/1.0\r\nHost: ${name}\r\n\r\n`);

async function fetchOne(): Promise<string> {
  let outcome = 'refused';
  try {
    using client = await RawClient.connect({ host: host!, port: Number(port) });
    client.send('05 01 00', request5(Command.connect, name!, 80));
    await client.expect('05 00  05 00 00');
    await readAddress(client);
    outcome = 'lost';
    client.send(GET);
    const answer = String(await client.rest());
    return answer.startsWith('HTTP/1.0 200') && answer.endsWith('\n') ? 'page' : `${outcome} with ${answer}`;
  } catch (error) {
    return `${outcome}: ${String(error)}`;
  }
}

let left = Number(count);
async function fetchInTurn(): Promise<void> {
  while (left-- > 0) console.log(await fetchOne());
}
await Promise.all(Array.from({ length: 20 }, () => fetchInTurn()));
