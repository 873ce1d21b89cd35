/** What `pagewalk lab` answers, and to whom. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../src/image/index.ts';
import { IMAGES, pagewalk } from '../support/command.ts';
import { type Served, serveLab } from '../support/lab.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

describe('pagewalk lab', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serveLab(`${IMAGES}/linux4-nopti-2g-user.ptpages.gz`);
  });
  afterAll(() => served.stop());

  const port = (): number => Number(new URL(served.url).port);
  const ask = (path: string, method = 'GET', host = `127.0.0.1:${port()}`): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request({ port: port(), host: '127.0.0.1', path, method, headers: { host } }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces) }),
        );
      });
      asked.once('error', reject).end();
    });

  it('serves its page, script, styles and images with headers that let threads share memory', async () => {
    for (const path of ['/', '/lab.js', '/lab.css', '/images/xen-idle-6g.js', '/image', '/?from=elsewhere']) {
      const { status, headers, body } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(body.length).toBe(Number(headers['content-length']));
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      expect(headers['cross-origin-embedder-policy']).toBe('require-corp');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    expect((await ask('/', 'HEAD')).body).toHaveLength(0);
  });

  it('sends little before the first picture', async () => {
    const first = await Promise.all(['/', '/lab.js', '/lab.css', '/images/xen-idle-6g.js'].map((path) => ask(path)));
    const bytes = first.reduce((sum, { body }) => sum + body.length, 0);
    const compressed = first.reduce((sum, { body }) => sum + gzipSync(body).length, 0);
    expect(bytes).toBeLessThan(340_000);
    expect(compressed).toBeLessThan(125_000);
  });

  it('serves the tables of the image that it was given', async () => {
    const { body } = await ask('/image');
    const image = await openImage(new Uint8Array(body));
    expect(image.cpus.map(({ paging }) => paging)).toEqual(['4-level', '4-level']);
    expect((await ask('/')).body.toString()).toContain('"title":"linux4-nopti-2g-user.ptpages.gz","url":"image"');
  });

  it.each(['/../package.json', '/%2e%2e/package.json', '//etc/passwd', '/lab.js/..', '/images/', '/cli/main.js', ''])(
    'has nothing at %j',
    async (path) => {
      expect((await ask(path === '' ? '/nothing' : path)).status).toBe(404);
    },
  );

  it.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'localhost.evil.example:1'])(
    'refuses the host %j, which may be a page elsewhere that calls itself so',
    async (host) => {
      const { status, body } = await ask('/', 'GET', host);
      expect(status).toBe(403);
      expect(body.toString()).not.toContain('pagewalk');
    },
  );

  it('answers to localhost, and only reads', async () => {
    expect((await ask('/', 'GET', `localhost:${port()}`)).status).toBe(200);
    for (const method of ['POST', 'PUT', 'DELETE']) expect((await ask('/', method)).status).toBe(405);
  });

  it('listens on loopback alone', async () => {
    const refused = await new Promise<boolean>((resolve) => {
      // Another address of the loopback network: a server on all addresses would answer.
      const socket = connect({ host: '127.0.0.2', port: port() });
      socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
      socket.once('close', () => socket.destroy());
    });
    expect(refused).toBe(true);
  });

  it('says so where the port is taken, is none, or the image cannot be opened', () => {
    const taken = pagewalk(['lab', '--port', `${port()}`]);
    expect(taken.status).toBe(2);
    expect(taken.stderr).toMatch(/^pagewalk: port \d+: .*EADDRINUSE/);
    expect(pagewalk(['lab', '--port', '70000']).stderr).toContain('--port is a number from 0 to 65535');
    expect(pagewalk(['lab', '--cr3', '1000']).stderr).toContain('describe a raw dump, and there is none');
    expect(pagewalk(['lab', 'no-such-image']).stderr).toContain('no-such-image: no such file');
  });
});
