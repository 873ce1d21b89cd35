/**
 * Makes a failing schedule as short and as plain as it can be, keeping what fails: first only what the failing step
 * depends on, then fewer switches between actors.
 */
import { conflict } from './footprint.ts';
import type { Replayed, Replayer } from './replay.ts';
import { type Failure, failureKey } from './search.ts';

export interface Minimal extends Replayed {
  readonly failure: Failure;
  /** Steps that the search's own schedule had. */
  readonly before: number;
}

export function minimise(replayer: Replayer, failure: Failure): Minimal {
  const key = failureKey(failure.violation);
  const fails = (schedule: readonly number[]): Replayed | undefined => {
    const replayed = replayer.replay(schedule, isAboutEnd ? 'go on' : 'stop');
    return replayed.stuckAt === undefined && replayed.violations.some((one) => failureKey(one) === key)
      ? replayed
      : undefined;
  };
  // What is wrong at the end is wrong after everybody has ended: nothing can be left out.
  const isAboutEnd = failure.violation.by === 'nobody' || failure.violation.rule === 'no-leak';
  const original = fails(failure.schedule);
  if (original === undefined)
    return { ...replayer.replay(failure.schedule, 'go on'), failure, before: failure.schedule.length };
  const sliced = isAboutEnd ? original : (fails(pastOfLast(original)) ?? original);
  return { ...withFewerSwitches(sliced, fails), failure, before: failure.schedule.length };
}

/** The steps that the last one depends on, and what those depend on. */
function pastOfLast({ schedule, touched }: Replayed): number[] {
  const kept: number[] = [schedule.length - 1];
  for (let at = schedule.length - 2; at >= 0; at--)
    if (kept.some((later) => schedule[later] === schedule[at] || conflict(touched[later]!, touched[at]!)))
      kept.push(at);
  return kept.reverse().map((at) => schedule[at]!);
}

/** How often another actor goes on than before. */
export const switchesOf = (schedule: readonly number[]): number =>
  schedule.filter((actor, at) => at > 0 && actor !== schedule[at - 1]).length;

/** Draws together runs of one actor that others interrupt for no reason. */
function withFewerSwitches(from: Replayed, fails: (schedule: readonly number[]) => Replayed | undefined): Replayed {
  let best = from;
  for (let at = 0; at + 1 < best.schedule.length; at++) {
    const { schedule } = best;
    if (schedule[at] === schedule[at + 1]) continue;
    const next = schedule.indexOf(schedule[at]!, at + 1);
    if (next < 0) continue;
    // The actor's next run moves up, or what interrupts it moves behind that run.
    let end = next;
    while (end < schedule.length && schedule[end] === schedule[at]) end += 1;
    const moved = [
      ...schedule.slice(0, at + 1),
      ...schedule.slice(next, end),
      ...schedule.slice(at + 1, next),
      ...schedule.slice(end),
    ];
    if (switchesOf(moved) >= switchesOf(schedule)) continue;
    const replayed = fails(moved);
    if (replayed !== undefined && replayed.schedule.length <= schedule.length) {
      best = replayed;
      at = -1;
    }
  }
  return best;
}
