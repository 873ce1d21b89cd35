// npm run bench:image [-- --json]
// Reading and listing a 64 GiB Xen image: made by examples/xen-boot.ts, then each round in a process of its own, which reads
// the file, opens a CPU on it and lists every mapping. Time and the most memory that the process held.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { openCpu, openImage } from '../dist/image/index.js';

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '5' }, image: { type: 'string' } },
});

/** Lists the image; prints what it took. */
async function list(path) {
  const start = performance.now();
  const image = await openImage(readFileSync(path));
  const cpu = openCpu(image, 0);
  let runs = 0;
  let bytes = 0;
  for (const run of cpu.runs()) {
    runs += 1;
    bytes += Number(run.sizeBytes);
  }
  const ms = performance.now() - start;
  let leaves = 0;
  for (const _leaf of cpu.leaves()) leaves += 1;
  console.log(JSON.stringify({ ms, runs, bytes, leaves, maxRss: process.resourceUsage().maxRSS * 1024 }));
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-bench-'));
  try {
    const [script, path] = [join(folder, 'xen-boot.mjs'), join(folder, 'xen-64g.ptpages')];
    await build({
      entryPoints: [fileURLToPath(new URL('../examples/xen-boot.ts', import.meta.url))],
      outfile: script,
      bundle: true,
      format: 'esm',
      platform: 'node',
      logLevel: 'error',
    });
    execFileSync(process.execPath, [script, '--mem', '64G', '-o', path], { stdio: 'pipe' });
    const own = fileURLToPath(import.meta.url);
    const rounds = Array.from({ length: Number(options.rounds) }, () =>
      JSON.parse(execFileSync(process.execPath, [own, '--image', path], { encoding: 'utf8' })),
    ).sort((a, b) => a.ms - b.ms);
    const { runs, leaves } = rounds[0];
    const maxRss = Math.max(...rounds.map((round) => round.maxRss));
    const result = {
      ms: rounds[0].ms,
      median: rounds[rounds.length >> 1].ms,
      maxRss,
      runs,
      leaves,
      fileBytes: statSync(path).size,
    };
    if (options.json) return console.log(JSON.stringify(result));
    console.log(
      `64 GiB Xen image, ${leaves} leaves in ${runs} runs: listed in ${result.ms.toFixed(0)} ms (median ${result.median.toFixed(0)}), ` +
        `${(maxRss / 2 ** 20).toFixed(0)} MiB resident at most`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (options.image === undefined) await main();
else await list(options.image);
