/** The canvas of the picture: pointer, wheel and keys. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { NamedRegion } from '../inspect/regions.ts';
import { Picture } from './picture.ts';
import type { View } from './picture-labels.ts';
import type { Slot, Slots } from './slots.ts';

export interface PictureCanvasProps {
  readonly slots: Slots;
  readonly regions: readonly NamedRegion[];
  /** Changes where colours do. */
  readonly theme: string;
  readonly onReady: (picture: Picture) => void;
  readonly onView: (view: View, slot: Slot) => void;
}

export function PictureCanvas({ slots, regions, theme, onReady, onView }: PictureCanvasProps): ComponentChild {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = useRef<Picture>();
  useEffect(() => {
    const made = new Picture(canvas.current!, slots, regions);
    picture.current = made;
    made.onView = onView;
    canvas.current!.style.height = `${made.height}px`;
    onReady(made);
    made.show(made.view);
    const observer = new ResizeObserver(() => made.restyle());
    observer.observe(canvas.current!);
    return () => {
      observer.disconnect();
      made.stop();
    };
  }, [slots]);
  useEffect(() => picture.current?.restyle(), [theme]);

  const at = (event: PointerEvent | MouseEvent): [number, number] => [event.offsetX, event.offsetY];
  return h('canvas', {
    ref: canvas,
    class: 'picture',
    tabIndex: 0,
    role: 'img',
    'aria-label':
      'The linear address space. Arrow keys select a slot, Enter zooms in, Backspace zooms out, Page Up and Page Down pan, plus and minus magnify. The same as a table is below.',
    onPointerDown: (event: PointerEvent) => {
      canvas.current!.setPointerCapture(event.pointerId);
      picture.current!.pointerDown(at(event)[0]);
    },
    onPointerMove: (event: PointerEvent) => picture.current!.pointerMove(at(event)[0]),
    onPointerUp: (event: PointerEvent) => picture.current!.pointerUp(...at(event)),
    onDblClick: () => picture.current!.zoomIn(),
    onWheel: (event: WheelEvent) => wheel(event, picture.current!),
    onKeyDown: (event: KeyboardEvent) => key(event, picture.current!),
  });
}

/** Sideways pans; with Ctrl (a pinch, too) it zooms; else the page scrolls. */
function wheel(event: WheelEvent, picture: Picture): void {
  const across = event.shiftKey ? event.deltaY : event.deltaX;
  if (event.ctrlKey) {
    event.preventDefault();
    if (event.deltaY < 0) picture.zoomIn();
    else picture.zoomOut();
  } else if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
    event.preventDefault();
    picture.pan((across / 800) * picture.view.visible);
  }
}

function key(event: KeyboardEvent, picture: Picture): void {
  const { view } = picture;
  const actions: Record<string, () => void> = {
    ArrowLeft: () => picture.select(view.selected - 1),
    ArrowRight: () => picture.select(view.selected + 1),
    ArrowUp: () => picture.zoomOut(),
    ArrowDown: () => picture.zoomIn(),
    Enter: () => picture.zoomIn(),
    Backspace: () => picture.zoomOut(),
    PageUp: () => picture.pan(-view.visible / 2),
    PageDown: () => picture.pan(view.visible / 2),
    Home: () => picture.select(0),
    End: () => picture.select(picture.slots.countOf(view.level) - 1),
    '+': () => picture.magnify(2),
    '-': () => picture.magnify(0.5),
  };
  const action = event.altKey || event.metaKey ? undefined : actions[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}
