// npm run bench:workers [-- --seconds N] [-- --json]
// Mapping on real threads: operations per second of 1 and 2 workers, in one L3 table and in different ones, with the locking
// `l3`, `pgdir` and `reverify`. Absent 4 KiB pages are mapped, from each CPU's own pool; and the same with a shootdown each.
// `apart` is what the host has to give: two workers on machines of their own, which share nothing. Then what one shootdown
// takes while 1 and 3 other CPUs do nothing but poll.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Crew } from './crew.mjs';
import { isWhole } from './host.mjs';
import { mean, median } from './statistics.mjs';

// The first rounds are not counted: code that two CPUs use at once is compiled anew.
const ROUNDS = 6;
const WARM_ROUNDS = 3;
/** Undisturbed slices of each worker that will do; how many are aimed at where there is a goal, and how many times as many rounds are made for that at most. */
const ENOUGH = 8;
const AIM = 24;
const PATIENCE = 20;
/** Turns that are made for one in which each worker got to work. */
const TRIES = 5;

const perSecond = (slices) => slices.map(({ start, end, operations }) => (1e9 * operations) / (end - start));
/** Operations per second of some workers together, each at its median slice. */
const rateOf = (workers) => workers.length * mean(workers.map((slices) => median(perSecond(slices))));

/** Of a turn, by worker: the slices in which all of them were at work, and nobody else used the core of any. */
function undisturbed(turn, least) {
  const isWholeBeside = ({ start, end }, slices) =>
    slices[0].start <= start &&
    end <= slices.at(-1).end &&
    slices.every((other) => other.end <= start || end <= other.start || isWhole(other.pace, least));
  return turn.map((slices) => slices.filter((slice) => turn.every((others) => isWholeBeside(slice, others))));
}

/** What a crew does with some of its workers: the rate by round, and the slices by worker of turns in which nobody else used the cores. */
class Measured {
  rates = [];
  #turns = [];

  constructor(crew, workers) {
    this.crew = crew;
    this.workers = workers;
  }

  async measure(round, seconds) {
    let turn;
    let isDone = false;
    for (let left = TRIES; left > 0 && !isDone; left--) {
      turn = await this.crew.turn(this.workers, seconds);
      isDone = turn.every((slices) => slices.length > 0);
    }
    if (round < 0 || !isDone) return;
    this.#turns.push(turn);
    this.rates[round] = rateOf(turn);
  }

  get least() {
    return Math.min(...this.#turns.flat(2).map(({ pace }) => pace));
  }

  /** Looks for the undisturbed slices, `least` being the quickest pace that was seen. */
  choose(least) {
    const turns = this.#turns.map((turn) => undisturbed(turn, least));
    const slices = this.workers.map((_, worker) => turns.flatMap((turn) => turn[worker]));
    this.slices = Math.min(...slices.map(({ length }) => length));
    this.rate = this.slices >= ENOUGH ? rateOf(slices) : undefined;
  }
}

/**
 * Measures crews in turn, so that what slows the machine down for long slows down all of them. Of each: all workers at once (`all`), and each
 * alone (`alone`): the same threads, for how much V8 puts together differs from one thread to the next. What is judged is
 * measured until there were enough undisturbed slices.
 */
async function inTurn(crews, seconds, judged) {
  await Promise.all(crews.map((crew) => crew.messages())); // warm
  const results = crews.map((crew) => ({
    all: new Measured(crew, crew.everyone),
    alone: crew.polling > 0 ? [] : crew.everyone.map((worker) => new Measured(crew, [worker])),
  }));
  const parts = results.flatMap(({ all, alone }) => [all, ...alone]);
  for (let round = -WARM_ROUNDS, left = parts; round < PATIENCE * ROUNDS; round++) {
    for (const part of left) await part.measure(round, seconds / (WARM_ROUNDS + ROUNDS));
    if (round < ROUNDS - 1) continue;
    const least = Math.min(...parts.map((part) => part.least));
    for (const part of parts) part.choose(least);
    left = parts.filter(({ crew }) => crew === judged);
    if (left.every(({ slices }) => slices >= AIM)) break;
  }
  await Promise.all(crews.map((crew) => crew.end()));
  return results;
}

/** Of all at once to each alone: of undisturbed slices where there were enough, else within rounds. */
function ratio({ all, alone }) {
  const quiet = all.rate / mean(alone.map(({ rate }) => rate));
  if (!Number.isNaN(quiet)) return quiet;
  const byRound = all.rates.map((rate, round) => rate / mean(alone.map(({ rates }) => rates[round])));
  return median(byRound.filter((value) => !Number.isNaN(value)));
}

const best = ({ rate, rates }) => rate ?? Math.max(...rates.filter((value) => value !== undefined));

async function main() {
  const { values: options } = parseArgs({
    options: { seconds: { type: 'string', default: '2' }, json: { type: 'boolean' } },
  });
  const results = [];
  if (!options.json) {
    console.log(
      `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}. Operations per second, in undisturbed slices, or the best of ${ROUNDS} rounds or more; ratios to one worker. Undisturbed: slices of each worker of which nobody else used the cores.`,
    );
    console.log(
      `${''.padEnd(36)}${['1 worker', '2, same L3', 'ratio', '2, other L3', 'ratio', 'apart', 'undisturbed'].map((text) => text.padStart(13)).join('')}`,
    );
  }
  for (const locking of ['l3', 'pgdir', 'reverify'])
    for (const what of ['map absent pages', 'remap with a shootdown']) {
      const about = [{ sameL3: true }, {}, { apart: true }];
      const crews = about.map((each) => new Crew(locking, what, { workers: 2, ...each }));
      const judged = locking === 'l3' && what === 'map absent pages' ? crews[1] : undefined;
      const [same, other, apart] = await inTurn(crews, Number(options.seconds), judged);
      const result = { locking, what, one: mean(other.alone.map(best)), same: best(same.all), other: best(other.all) };
      result.sameRatio = ratio(same);
      result.otherRatio = ratio(other);
      result.apartRatio = ratio(apart);
      result.isByRounds = crews[1] === judged && other.all.rate === undefined;
      result.undisturbed = [same, other, apart].map(({ all }) => all.slices);
      results.push(result);
      const figures = [
        result.one.toFixed(0),
        result.same.toFixed(0),
        result.sameRatio.toFixed(2),
        result.other.toFixed(0),
        result.otherRatio.toFixed(2),
        result.apartRatio.toFixed(2),
        result.undisturbed.join('/'),
      ];
      if (!options.json)
        console.log(`${locking.padEnd(9)}${what.padEnd(27)}${figures.map((text) => text.padStart(13)).join('')}`);
    }
  const shootdowns = [];
  for (const others of [1, 3]) {
    const crew = new Crew('l3', 'remap with a shootdown', { workers: others + 1, sameL3: true, polling: others });
    const most = best((await inTurn([crew], Number(options.seconds)))[0].all);
    shootdowns.push({ others, ns: 1e9 / most });
    if (!options.json) console.log(`a shootdown of ${others} other CPUs that poll: ${(1e9 / most).toFixed(0)} ns`);
  }
  if (options.json) console.log(JSON.stringify({ node: process.version, results, shootdowns }, null, 2));
}

await main();
