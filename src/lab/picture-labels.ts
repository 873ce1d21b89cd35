/** Names and addresses around the strip of the picture. */
import { hex64 } from '../mmu/halves.ts';
import type { Slots } from './slots.ts';
import type { Box, Colours } from './strip.ts';

/** What is shown: `visible` slots of a level from `first`, which may lie between two slots; and which one is selected. */
export interface View {
  readonly level: number;
  readonly first: number;
  readonly visible: number;
  readonly selected: number;
}

/** A region, in pages as in leaves.ts; `to` exclusive. */
export interface Labelled {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Names of regions above a strip, with a line over as much as each takes. */
export function drawRegions(
  context: CanvasRenderingContext2D,
  { y, width }: Box,
  slots: Slots,
  view: View,
  colours: Colours,
  regions: readonly Labelled[],
): void {
  const scale = width / view.visible / slots.pagesOf(view.level);
  const start = view.first * slots.pagesOf(view.level);
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  let free = 0;
  for (const { name, from, to } of regions) {
    const left = Math.max(0, (from - start) * scale);
    const right = Math.min(width, (to - start) * scale);
    if (right <= 0 || left >= width) continue;
    context.fillStyle = colours.line;
    context.fillRect(left, y - 4, Math.max(1.5, right - left - 1), 3);
    if (left < free || context.measureText(name).width + left > width) continue;
    context.fillStyle = colours.text;
    context.fillText(name, left, y - 12);
    free = left + context.measureText(name).width + 8;
  }
}

/** Addresses below a strip. */
export function drawAxis(
  context: CanvasRenderingContext2D,
  { y, width, height }: Box,
  slots: Slots,
  view: View,
  colours: Colours,
): void {
  context.font = '11px ui-monospace, monospace';
  context.textBaseline = 'top';
  const wide = context.measureText('0'.repeat(17)).width;
  const ticks = Math.max(2, Math.floor(width / wide));
  const step = Math.max(1, 2 ** Math.ceil(Math.log2(view.visible / ticks)));
  const scale = width / view.visible;
  let free = -Infinity;
  for (let slot = Math.ceil(view.first / step) * step; slot < view.first + view.visible; slot += step) {
    const x = (slot - view.first) * scale;
    context.fillStyle = colours.line;
    context.fillRect(x, y + height, 1, 5);
    if (x < free || x + wide > width + 2) continue;
    const { lo, hi } = slots.addressOf(slot * slots.pagesOf(view.level));
    context.fillStyle = colours.faint;
    const text = hex64(lo, hi).slice(slots.linearBits === 32 ? 8 : 0);
    context.fillText(text, x, y + height + 7);
    free = x + wide;
  }
}
