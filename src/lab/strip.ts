/** A stretch of slots drawn on a canvas: colour by rights, height by page size, holes left open. */
import { NO_EXECUTE, USER, WRITABLE } from '../mmu/access.ts';
import type { Slot, Slots } from './slots.ts';
import type { Summaries } from './summary.ts';

/** Colours of the theme in force, from the style sheet. */
export interface Colours {
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly hole: string;
  readonly selected: string;
  readonly reserved: string;
  readonly unknown: string;
  /** By what the supervisor may do: read only, read and write, execute, both. */
  readonly rights: readonly [string, string, string, string];
  readonly mixed: string;
}

export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour('text'),
    faint: colour('faint'),
    line: colour('line'),
    hole: colour('hole'),
    selected: colour('accent'),
    reserved: colour('reserved'),
    unknown: colour('unknown'),
    rights: [colour('r'), colour('rw'), colour('rx'), colour('rwx')],
    mixed: colour('mixed'),
  };
}

const PAINTED = WRITABLE | NO_EXECUTE;

/** 0 r, 1 rw, 2 rx, 3 rwx. */
const kindOfRights = (rights: number): number =>
  ((rights & WRITABLE) !== 0 ? 1 : 0) | ((rights & NO_EXECUTE) === 0 ? 2 : 0);

/** Share of the height by level of a page: 4 KiB, 2 MiB, 1 GiB. */
const HEIGHTS = [0, 0.36, 0.66, 1, 1, 1];

/** What a slot looks like. */
export interface Look {
  readonly height: number;
  readonly colour: string;
  /** 0 to 1. */
  readonly opacity: number;
  readonly isTable: boolean;
  readonly isUser: boolean;
}

/** Undefined for a hole. */
export function lookOf(slot: Slot, summaries: Summaries, colours: Colours): Look | undefined {
  const { kind, rights, entryLevel } = slot;
  if (kind === 'hole') return undefined;
  if (kind === 'reserved') return { height: 0.2, colour: colours.reserved, opacity: 1, isTable: false, isUser: false };
  if (kind === 'page')
    return {
      height: HEIGHTS[entryLevel]!,
      colour: colours.rights[kindOfRights(rights)]!,
      opacity: 1,
      isTable: false,
      isUser: (rights & USER) !== 0,
    };
  const summary = summaries.of(slot.frame, slot.level - 1, rights);
  if (summary === undefined) return { height: 0.5, colour: colours.unknown, opacity: 1, isTable: true, isUser: false };
  if (summary.pages === 0) return { height: 0.08, colour: colours.faint, opacity: 1, isTable: true, isUser: false };
  const isUniform = ((summary.any ^ summary.all) & PAINTED) === 0;
  return {
    height: HEIGHTS[summary.largest]!,
    colour: isUniform ? colours.rights[kindOfRights(summary.all)]! : colours.mixed,
    opacity: 0.45 + 0.55 * Math.sqrt(summary.pages / slot.pages),
    isTable: true,
    isUser: (summary.any & USER) !== 0,
  };
}

/** Where a strip lies on its canvas, in CSS pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Draws `visible` slots from `first` (which may be between two) into a box. */
export function drawStrip(
  context: CanvasRenderingContext2D,
  box: Box,
  slots: Slots,
  summaries: Summaries,
  colours: Colours,
  level: number,
  first: number,
  visible: number,
): boolean {
  const { x, y, width, height } = box;
  context.fillStyle = colours.hole;
  context.fillRect(x, y, width, height);
  const scale = width / visible;
  const last = Math.min(slots.countOf(level), Math.ceil(first + visible));
  let isWhole = true;
  for (let slot = Math.max(0, Math.floor(first)); slot < last; slot++) {
    const look = lookOf(slots.read(level, slot), summaries, colours);
    if (look === undefined) continue;
    if (look.colour === colours.unknown) isWhole = false;
    const left = Math.max(x, x + (slot - first) * scale);
    const right = Math.min(x + width, x + (slot + 1 - first) * scale);
    // A gap between slots as soon as there is room for one.
    const wide = Math.max(right - left - (scale >= 4 ? 1 : 0), 1);
    const tall = Math.max(2, look.height * height);
    context.globalAlpha = look.opacity;
    context.fillStyle = look.colour;
    context.fillRect(left, y + height - tall, wide, tall);
    context.globalAlpha = 1;
    if (look.isTable) {
      context.fillStyle = colours.text;
      context.fillRect(left, y + height - tall, wide, 1.5);
    }
    if (look.isUser) {
      context.fillStyle = colours.selected;
      context.fillRect(left, y + height - 3, wide, 3);
    }
  }
  return isWhole;
}
