// npm run bench:peers [-- --rounds N] [-- --only TEXT] [-- --json]
// pagewalk beside Unicorn and v86 in one run: each pattern of accesses is measured by all of them in turn, round after
// round. README.md says what is compared, and what is not.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from '../statistics.mjs';
import { expectedSums, PATTERNS, turnOf, warmUp } from './patterns.mjs';
import { PeerProcess } from './protocol.mjs';
import { startUnicorn } from './unicorn.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError(`--rounds ${options.rounds}: not a count`);
const chosen = PATTERNS.filter(({ name }) => name.includes(options.only));
if (chosen.length === 0) throw new RangeError(`--only ${options.only}: no pattern has that in its name`);

const script = (name) => new PeerProcess(process.execPath, [fileURLToPath(new URL(name, import.meta.url))]);

function startV86() {
  try {
    import.meta.resolve('v86');
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return { skipped: 'the package v86 is not installed (npm ci)' };
  }
  return { process: script('v86.mjs') };
}

/** pagewalk first: the others are compared with it. `roots`: the page tables that a peer has. */
const PEERS = [
  { name: 'pagewalk', roots: ['small', 'large'], start: () => ({ process: script('pagewalk.mjs') }) },
  { name: 'Unicorn', roots: ['small', 'large'], start: startUnicorn },
  { name: 'v86', roots: ['small'], start: startV86 },
];

/** Adds to `peers` one by one, so that they can be ended even when a later one does not start. */
async function startAll(peers, folder) {
  for (const { name, roots, start } of PEERS) {
    const peer = { name, roots, ...start(folder) };
    peers.push(peer);
    if (peer.process !== undefined) peer.version = await peer.process.line();
  }
}

/** Unicorn before 2.1 reads and writes memory at the untranslated address: it is timed nevertheless, and marked. */
const isUntranslating = ({ name, version }) => name === 'Unicorn' && /^2\.0\./.test(version);

/** That every chunk did what it should. Returns what it moved: `right` data, or `untranslated`. */
function check(peer, pattern, requests, answers) {
  const kinds = new Set();
  answers.forEach(({ sum }, at) => {
    const { right, untranslated } = expectedSums(requests[at]);
    if (sum === right) kinds.add('right');
    else if (sum === untranslated && isUntranslating(peer)) kinds.add('untranslated');
    else throw new Error(`${peer.name}, ${pattern.name}: chunk ${at} came to ${sum}, not ${right}`);
  });
  if (kinds.size > 1) throw new Error(`${peer.name}, ${pattern.name}: some chunks moved the right data, some did not`);
  return [...kinds][0];
}

/** One turn: ns per access, of its chunks. */
async function turn(peer, pattern) {
  const requests = turnOf(pattern);
  const answers = await peer.process.ask(requests);
  const data = check(peer, pattern, requests, answers);
  const counted = answers.slice(warmUp(pattern)).map(({ ns }) => ns / pattern.accesses);
  return { least: Math.min(...counted), median: median(counted), data };
}

async function measure(peers) {
  const samples = chosen.map(() => new Map());
  const plan = [...chosen.entries()].flatMap(([at, pattern]) => Array(pattern.turns ?? 1).fill({ at, pattern }));
  for (let round = -1; round < rounds; round++) {
    for (const { at, pattern } of plan) {
      for (const peer of peers) {
        if (peer.process === undefined || !peer.roots.includes(pattern.root)) continue;
        const { least, median, data } = await turn(peer, pattern);
        if (round < 0) {
          samples[at].set(peer.name, { data, least: Infinity, turns: [] }); // one round for compilers to warm up
          continue;
        }
        const sample = samples[at].get(peer.name);
        sample.least = Math.min(sample.least, least);
        sample.turns.push(median);
      }
    }
  }
  return chosen.map((pattern, at) => summary(pattern, samples[at]));
}

/** `ns` is the least of all chunks, as in the figures that were recorded; `ratio` the median over the rounds of peer / pagewalk. */
function summary({ name, unicorn214 }, samples) {
  const own = samples.get('pagewalk').turns;
  const result = { pattern: name };
  for (const [peer, { data, least, turns }] of samples) {
    result[peer] = { ns: least, medianNs: median(turns), data };
    const ratios = turns.map((ns, round) => ns / own[round]);
    if (peer !== 'pagewalk') result[peer].ratio = median(ratios);
  }
  if (unicorn214 !== undefined)
    result['Unicorn 2.1.4, recorded'] = { ns: unicorn214, ratio: unicorn214 / result.pagewalk.ns };
  return result;
}

const digits = (value) => (value === undefined ? '-' : value.toFixed(value < 100 ? 2 : 0));

function print(peers, results) {
  const there = peers.filter(({ process }) => process !== undefined);
  const titles = [...there.map(({ name, version }) => `${name} ${version}`), 'Unicorn 2.1.4 *'];
  const columns = [...there.map(({ name }) => name), 'Unicorn 2.1.4, recorded'];
  console.log(
    `Node ${process.version}, ${cpus()[0]?.model ?? 'unknown'}, ${rounds} rounds. ns per access: least and median; ratio: peer / pagewalk.`,
  );
  console.log(`${''.padEnd(34)}${titles.map((title) => title.padStart(26)).join('')}`);
  for (const result of results) {
    const cells = columns.map((column) => {
      const { ns, medianNs, ratio, data } = result[column] ?? {};
      const mark = data === 'untranslated' ? '!' : ' ';
      return `${[ns, medianNs, ratio].map((value) => digits(value).padStart(8)).join('')}${mark} `;
    });
    console.log(`${result.pattern.padEnd(34)}${cells.join('')}`);
  }
  for (const { name, skipped } of peers) if (skipped !== undefined) console.log(`${name} skipped: ${skipped}.`);
  if (there.some(isUntranslating))
    console.log('! data moved to and from the untranslated address; timed all the same.');
  console.log("* recorded on a quiet machine; its ratio is to pagewalk's least.");
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-peers-'));
  const peers = [];
  try {
    await startAll(peers, folder);
    const results = await measure(peers);
    if (!options.json) return print(peers, results);
    const about = { node: process.version, v8: process.versions.v8, cpu: cpus()[0]?.model ?? 'unknown', rounds };
    const described = peers.map(({ name, version, skipped }) => ({ name, version, skipped }));
    console.log(JSON.stringify({ ...about, peers: described, results }, null, 2));
  } finally {
    for (const peer of peers) peer.process?.end();
    rmSync(folder, { recursive: true });
  }
}

await main();
