// How the bench and a peer's process talk: a request a line on standard input, `ns sum` a line on standard output. The
// first line of output is the peer's version. See README.md.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const FIELDS = ['loop', 'root', 'operand', 'first', 'pages', 'passes'];

/** CPU time of this process, in ns with a grain of 1000: what others do on the machine does not count. */
export function cpuTimeNs() {
  const { user, system } = process.cpuUsage();
  return 1000 * (user + system);
}

/** The peer's side. `handle` gets the requests that have arrived, in order, and returns `{ ns, sum }` for each. */
export function serve(version, handle) {
  const waiting = [];
  let busy = false;
  const work = async () => {
    if (busy) return;
    busy = true;
    while (waiting.length > 0) {
      const answers = await handle(waiting.splice(0));
      process.stdout.write(answers.map(({ ns, sum }) => `${ns} ${sum >>> 0}\n`).join(''));
    }
    busy = false;
  };
  createInterface({ input: process.stdin }).on('line', (line) => {
    const values = line.split(' ').map(Number);
    waiting.push(Object.fromEntries(FIELDS.map((field, at) => [field, values[at]])));
    // All lines of a turn arrive before the first is handled, so that they run one after the other.
    setImmediate(work);
  });
  console.log(version);
}

/** The bench's side: a process that sleeps between its turns. */
export class PeerProcess {
  #child;
  #lines;
  #failed;

  constructor(command, args) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#failed = new Promise((_, reject) => this.#child.once('error', reject));
    this.#failed.catch(() => {}); // reported to whoever waits for a line
    this.#child.stdin.on('error', () => {}); // a process that ended: so does its output
  }

  async line() {
    const { value, done } = await Promise.race([this.#lines.next(), this.#failed]);
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')}: ended early`);
    return value;
  }

  /** The answers to a turn's requests, `{ ns, sum }` each. */
  async ask(requests) {
    this.#child.stdin.write(requests.map((request) => `${FIELDS.map((field) => request[field]).join(' ')}\n`).join(''));
    const answers = [];
    for (const _ of requests) {
      const [ns, sum] = (await this.line()).split(' ').map(Number);
      answers.push({ ns, sum });
    }
    return answers;
  }

  end() {
    this.#child.stdin.end();
    this.#child.kill();
  }
}
