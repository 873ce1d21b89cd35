/** `pagewalk lab`: serves the lab's page on loopback, with an image where one is given. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { tablesOnly } from '../inspect/tables-only.ts';
import { UsageError } from './failure.ts';
import { openImageFile, type RawOptions, refuseRawOptions } from './image-file.ts';
import { BUILT_IN_IMAGES, labFile, pageWith } from './lab-files.ts';
import { flush, print } from './output.ts';

const HOST = '127.0.0.1';

interface Served {
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** Serves until the process is stopped. UsageError where the port is taken. */
export async function lab(path: string | undefined, options: RawOptions & { readonly port: number }): Promise<number> {
  if (path === undefined) refuseRawOptions(options);
  const image = path === undefined ? undefined : await tablesOnly(await openImageFile(path, options));
  const server = createServer(answerer(filesOf(path, image)));
  await listen(server, options.port);
  const { port } = server.address() as AddressInfo;
  print(`the lab is at http://${HOST}:${port}/ (Ctrl-C stops it)`);
  flush();
  await new Promise((resolve) => server.once('close', resolve));
  return 0;
}

/** All that there is to have: nothing is looked up on disk by what a request names. */
function filesOf(path: string | undefined, image: Uint8Array | undefined): ReadonlyMap<string, Served> {
  const start = path === undefined ? {} : { image: { title: basename(path), url: 'image' } };
  const script = 'text/javascript; charset=utf-8';
  const files = new Map<string, Served>([
    ['/', { type: 'text/html; charset=utf-8', body: pageWith(start) }],
    ['/lab.js', { type: script, body: labFile('lab.js') }],
    ['/lab.css', { type: 'text/css; charset=utf-8', body: labFile('lab.css') }],
  ]);
  for (const name of BUILT_IN_IMAGES)
    files.set(`/images/${name}.js`, { type: script, body: labFile(`images/${name}.js`) });
  if (image !== undefined) files.set('/image', { type: 'application/octet-stream', body: image });
  return files;
}

/** Answers GET and HEAD of those files, to whoever asks this machine by a name of its own. */
export function answerer(
  files: ReadonlyMap<string, Served>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    // A page elsewhere could make its own name lead here, and read what is served.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) return refuse(response, 403);
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405);
    const file = files.get((request.url ?? '').split('?')[0]!);
    if (file === undefined) return refuse(response, 404);
    response.writeHead(200, {
      'Content-Type': file.type,
      'Content-Length': Buffer.byteLength(file.body),
      'Cache-Control': 'no-store',
      'Content-Security-Policy':
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; worker-src 'self' blob:; img-src data:; base-uri 'none'; form-action 'none'",
      // Both, so that memory can be shared between the page's threads.
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  };
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Type': 'text/plain' });
  response.end(`${status}\n`);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (failure) => reject(new UsageError(`port ${port}: ${failure.message}`)));
    server.listen(port, HOST, resolve);
  });
}
