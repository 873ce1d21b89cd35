// A plot as SVG: nanoseconds over a count, both axes logarithmic, one line for loads through the CPU and one for raw loads. It has no
// colours of its own but two, which hold on dark and light.
const WIDTH = 560;
const HEIGHT = 260;
const LEFT = 56;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 44;

const log = Math.log10;

/** Whole powers of ten around some values. */
function decades(values) {
  const first = Math.floor(log(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(log(Math.max(...values))));
  return Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at));
}

/** `points` are `{ count, ns, rawNs }`, by rising count; `what` is what is counted. */
export function plot(what, points) {
  const xs = decades(points.map(({ count }) => count));
  const ys = decades(points.flatMap(({ ns, rawNs }) => [ns, rawNs]));
  const place = (value, marks, from, to) => {
    const [low, high] = [log(marks[0]), log(marks[marks.length - 1])];
    return (from + ((log(value) - low) / (high - low)) * (to - from)).toFixed(1);
  };
  const x = (count) => place(count, xs, LEFT, WIDTH - RIGHT);
  const y = (ns) => place(ns, ys, HEIGHT - BOTTOM, TOP);
  const line = (key, colour, name) => [
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map((point) => `${x(point.count)},${y(point[key])}`).join(' ')}"/>`,
    ...points.map(
      (point) =>
        `<circle cx="${x(point.count)}" cy="${y(point[key])}" r="3" fill="${colour}"><title>${name}, ${point.count}: ${point[key].toFixed(2)} ns</title></circle>`,
    ),
  ];
  const text = (at, top, anchor, words) => `<text x="${at}" y="${top}" text-anchor="${anchor}">${words}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="Nanoseconds per load over ${what}">`,
    '<style>text{font:12px sans-serif;fill:#888}</style>',
    ...ys.map(
      (ns) =>
        `<path d="M${LEFT} ${y(ns)}H${WIDTH - RIGHT}" stroke="#888" stroke-opacity=".3"/>${text(LEFT - 6, Number(y(ns)) + 4, 'end', `${ns} ns`)}`,
    ),
    ...xs.map((count) => text(x(count), HEIGHT - BOTTOM + 18, 'middle', count.toLocaleString('en'))),
    ...line('rawNs', '#888888', 'raw'),
    ...line('ns', '#3b82f6', 'through the CPU'),
    text(WIDTH / 2, HEIGHT - 6, 'middle', what),
    `<text x="${LEFT}" y="18" style="fill:#3b82f6">a load through the CPU</text>${text(LEFT + 150, 18, 'start', 'a raw load')}`,
    '</svg>',
    '',
  ].join('\n');
}
