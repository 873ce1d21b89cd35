/** The picture of the address space: one level of tables at a time, panned and zoomed; the levels above as small strips. */
import type { NamedRegion } from '../inspect/regions.ts';
import { toHalves } from '../mmu/address.ts';
import { drawAxis, drawRegions, type Labelled, type View } from './picture-labels.ts';
import type { Slot, Slots } from './slots.ts';
import { type Box, type Colours, coloursOf, drawStrip } from './strip.ts';
import { Summaries } from './summary.ts';

const SMALL = 16;
const GAP = 6;
const REGIONS = 20;
const STRIP = 120;
const AXIS = 34;
/** Milliseconds of a frame that tables may be summed up in. */
const BUDGET = 6;

export class Picture {
  readonly slots: Slots;
  readonly summaries: Summaries;
  view: View;
  onView: (view: View, selected: Slot) => void = () => {};

  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #regions: readonly Labelled[];
  #colours: Colours;
  #width = 0;
  #asked = 0;
  #dragged: { readonly x: number; readonly first: number; hasMoved: boolean } | undefined;

  constructor(canvas: HTMLCanvasElement, slots: Slots, regions: readonly NamedRegion[]) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d')!;
    this.slots = slots;
    this.summaries = new Summaries(slots);
    this.#regions = regions.map(({ name, start, end }) => {
      const [first, last] = [toHalves(start), toHalves(end).subtract(1)];
      return { name, from: slots.pageOf(first.low, first.high), to: slots.pageOf(last.low, last.high) + 1 };
    });
    this.#colours = coloursOf(canvas);
    this.#width = canvas.clientWidth;
    this.view = { level: slots.levels, first: 0, visible: this.#visibleAt(slots.levels), selected: 0 };
  }

  /** Slots across: fewer on a narrow screen, where they would be thinner than a pixel and a half. */
  #visibleAt(level: number): number {
    const width = this.#canvas.clientWidth || 800;
    const most = width >= 700 ? 512 : width >= 350 ? 128 : 64;
    return Math.min(most, this.slots.countOf(level));
  }

  /** The theme changed, or the size of the canvas. */
  restyle(): void {
    this.#colours = coloursOf(this.#canvas);
    const width = this.#canvas.clientWidth;
    if (width === 0) return; // another view is shown
    if (width !== this.#width) this.view = { ...this.view, visible: this.#visibleAt(this.view.level) };
    this.#width = width;
    this.show(this.view);
  }

  /** Shows a view, moved to where there are slots. */
  show(view: View): void {
    const count = this.slots.countOf(view.level);
    const first = Math.min(Math.max(0, view.first), Math.max(0, count - view.visible));
    this.view = { ...view, first, selected: Math.min(Math.max(0, view.selected), count - 1) };
    this.redraw();
    this.onView(this.view, this.slots.read(view.level, this.view.selected));
  }

  /** Shows and selects the slot of a level that a page lies in, with at most so many slots across. */
  goTo(level: number, page: number, across: number = Number.POSITIVE_INFINITY): void {
    const selected = this.slots.slotOfPage(level, page);
    const visible = Math.min(this.#visibleAt(level), across);
    // A whole table where one fits, else the slot in the middle, as far as the table goes.
    const { entries } = this.slots;
    const table = selected - (selected % entries);
    const end = table + Math.max(0, entries - visible);
    const first = Math.min(Math.max(table, Math.floor(selected - visible / 2)), end);
    this.show({ level, first, visible, selected });
  }

  /** The same, with what is used of the table that the slot lies in across all of the picture. */
  goToUsed(level: number, page: number): void {
    const { slots } = this;
    const selected = slots.slotOfPage(level, page);
    const table = selected - (selected % slots.entries);
    const count = Math.min(slots.entries, slots.countOf(level));
    let [first, last] = [selected, selected];
    for (let slot = table; slot < table + count; slot++) {
      if (slots.read(level, slot).kind === 'hole') continue;
      first = Math.min(first, slot);
      last = Math.max(last, slot);
    }
    const used = last - first + 1;
    const across = Math.max(16, 2 ** Math.ceil(Math.log2(used * 1.1)));
    if (across >= this.#visibleAt(level)) this.goTo(level, page);
    else
      this.show({ level, first: Math.max(table, first - Math.floor((across - used) / 8)), visible: across, selected });
  }

  /** Selects a slot, which is moved into sight. */
  select(slot: number): void {
    const { view } = this;
    const first = slot < view.first ? slot : slot >= view.first + view.visible ? slot - view.visible + 1 : view.first;
    this.show({ ...view, first, selected: slot });
  }

  /** One level of tables down at the selected slot; nothing happens at level 1. */
  zoomIn(): void {
    const { level, selected } = this.view;
    if (level > 1) this.goTo(level - 1, selected * this.slots.pagesOf(level));
  }

  zoomOut(): void {
    const { level, selected } = this.view;
    if (level < this.slots.levels) this.goTo(level + 1, selected * this.slots.pagesOf(level));
  }

  /** The same level, with fewer slots across, or more; around the selected one where it is in sight. */
  magnify(factor: number): void {
    const { level, visible, first, selected } = this.view;
    const isSeen = selected >= first && selected < first + visible;
    const count = Math.min(this.slots.countOf(level), 512, Math.max(8, Math.round(visible / factor)));
    const at = isSeen ? selected + 0.5 : first + visible / 2;
    const share = (at - first) / visible;
    this.show({ ...this.view, visible: count, first: Math.round(at - share * count) });
  }

  pan(slots: number): void {
    this.show({ ...this.view, first: this.view.first + slots });
  }

  /** Draws with the next frame of the browser. */
  redraw(): void {
    if (this.#asked === 0) this.#asked = requestAnimationFrame(() => this.#draw());
  }

  stop(): void {
    cancelAnimationFrame(this.#asked);
  }

  /** CSS pixels that the picture takes. */
  get height(): number {
    return (this.slots.levels - 1) * (SMALL + GAP) + REGIONS + STRIP + AXIS;
  }

  #draw(): void {
    performance.mark('lab-picture-begin');
    this.#asked = 0;
    const canvas = this.#canvas;
    const context = this.#context;
    const width = canvas.clientWidth;
    const { height } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.summaries.allow(BUDGET);
    const isWhole = this.#drawAbove(width) && this.#drawLevel(width);
    if (!isWhole) this.redraw();
    performance.measure('lab-picture', 'lab-picture-begin');
  }

  /** The levels above, each as the one table that the view lies in, with the view marked. */
  #drawAbove(width: number): boolean {
    const { slots, view } = this;
    let isWhole = true;
    for (let level = slots.levels; level > view.level; level--) {
      const box = this.#boxAbove(level, width);
      const { first, count } = this.#tableOf(level);
      isWhole = drawStrip(this.#context, box, slots, this.summaries, this.#colours, level, first, count) && isWhole;
      const factor = slots.pagesOf(view.level) / slots.pagesOf(level);
      const from = (view.first * factor - first) * (width / count);
      const wide = Math.max(3, view.visible * factor * (width / count));
      this.#context.strokeStyle = this.#colours.selected;
      this.#context.lineWidth = 2;
      this.#context.strokeRect(from - 1, box.y - 1, wide + 2, box.height + 2);
      // From what is marked down to what it becomes.
      const below = level - 1 > view.level ? this.#boxAbove(level - 1, width) : this.#box(width);
      this.#context.globalAlpha = 0.35;
      this.#context.lineWidth = 1;
      this.#context.beginPath();
      for (const [top, bottom] of [
        [from, 0],
        [from + wide, width],
      ] as const) {
        this.#context.moveTo(top, box.y + box.height);
        this.#context.lineTo(bottom, level - 1 > view.level ? below.y : below.y - REGIONS);
      }
      this.#context.stroke();
      this.#context.globalAlpha = 1;
    }
    return isWhole;
  }

  #boxAbove(level: number, width: number): Box {
    return { x: 0, y: (this.slots.levels - level) * (SMALL + GAP) + 1, width, height: SMALL };
  }

  #box(width: number): Box {
    const above = this.slots.levels - this.view.level;
    return {
      x: 0,
      y: above * (SMALL + GAP) + REGIONS,
      width,
      height: this.height - above * (SMALL + GAP) - REGIONS - AXIS,
    };
  }

  /** The slots of the table of a level that the middle of the view lies in. */
  #tableOf(level: number): { readonly first: number; readonly count: number } {
    const { slots, view } = this;
    const middle = Math.floor(view.first + view.visible / 2) * slots.pagesOf(view.level);
    const slot = slots.slotOfPage(level, middle);
    const count = Math.min(slots.entries, slots.countOf(level));
    return { first: slot - (slot % count), count };
  }

  #drawLevel(width: number): boolean {
    const { slots, view } = this;
    const { level, first, visible, selected } = view;
    const context = this.#context;
    const box = this.#box(width);
    const isWhole = drawStrip(context, box, slots, this.summaries, this.#colours, level, first, visible);
    const scale = width / visible;
    context.strokeStyle = this.#colours.selected;
    context.lineWidth = 2;
    context.strokeRect((selected - first) * scale - 1, box.y - 1, Math.max(scale, 2) + 2, box.height + 2);
    drawRegions(context, box, slots, view, this.#colours, this.#regions);
    drawAxis(context, box, slots, view, this.#colours);
    return isWhole;
  }

  /** The slot under a place on the canvas, in CSS pixels from its corner. */
  slotAt(x: number, y: number): { readonly level: number; readonly slot: number } {
    const { slots, view } = this;
    const width = this.#canvas.clientWidth;
    const row = Math.floor(y / (SMALL + GAP));
    const level = Math.max(view.level, slots.levels - row);
    if (level > view.level) {
      const { first, count } = this.#tableOf(level);
      return { level, slot: Math.floor(first + (x / width) * count) };
    }
    return { level, slot: Math.floor(view.first + (x / width) * view.visible) };
  }

  /** Pointer input: a drag pans, a click selects. */
  pointerDown(x: number): void {
    this.#dragged = { x, first: this.view.first, hasMoved: false };
  }

  pointerMove(x: number): void {
    const dragged = this.#dragged;
    if (dragged === undefined) return;
    if (Math.abs(x - dragged.x) > 4) dragged.hasMoved = true;
    if (!dragged.hasMoved) return;
    const slots = ((x - dragged.x) / this.#canvas.clientWidth) * this.view.visible;
    this.show({ ...this.view, first: dragged.first - slots });
  }

  pointerUp(x: number, y: number): void {
    const dragged = this.#dragged;
    this.#dragged = undefined;
    if (dragged === undefined || dragged.hasMoved) return;
    const { level, slot } = this.slotAt(x, y);
    if (level === this.view.level) this.select(slot);
    else this.goTo(level, slot * this.slots.pagesOf(level));
  }
}
