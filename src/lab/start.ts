/** What a page is told to begin with, in JSON in the page itself: by `pagewalk lab IMAGE` and `pagewalk report`. */
import type { FoundFailure } from '../explorer/explore.ts';

export interface StartImage {
  readonly title: string;
  /** A gzipped container in base64, or where the page's server has it. */
  readonly base64?: string;
  readonly url?: string;
}

/** A scenario that was explored already. */
export interface StartRace {
  readonly name: string;
  readonly explored: readonly ExploredVariant[];
}

/** As `pagewalk race --json` prints it. */
export interface ExploredVariant {
  readonly name: string;
  readonly variant: string;
  readonly claim?: string;
  readonly failures: readonly Pick<FoundFailure, 'kind' | 'what' | 'schedule'>[];
}

export interface Start {
  readonly image?: StartImage;
  readonly race?: StartRace;
}

/** The element of the page that holds it. */
export const START_ID = 'start';

export function readStart(): Start {
  const text = document.getElementById(START_ID)?.textContent ?? '{}';
  return JSON.parse(text) as Start;
}
