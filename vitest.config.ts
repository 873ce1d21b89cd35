import { defineConfig, type ViteUserConfig } from 'vitest/config';

// Where to write the counts that .ci/run adds up.
const json = process.env['PAGEWALK_TEST_JSON'];
const long = process.env['PAGEWALK_LONG'] === '1';

const TESTS = 'test/**/*.test.ts';
const LEFT_OUT = long ? [] : ['test/long/**'];
// What is about time after all, as the issue of the lab asks: alone, when all others have ended.
const ALONE = 'test/lab/large-image.test.ts';

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: { name: 'tests', include: [TESTS], exclude: [...LEFT_OUT, ALONE], sequence: { groupOrder: 0 } },
      },
      { extends: true, test: { name: 'alone', include: [ALONE], sequence: { groupOrder: 1 } } },
    ],
    // Two busy cores: time is never what a test is about.
    testTimeout: long ? 3_600_000 : 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // All cores, and one process a core instead of one a file: 28 s instead of 60 s on two cores. Modules keep no state.
    maxWorkers: '100%',
    isolate: false,
    reporters: json === undefined ? ['default'] : ['default', ['json', { outputFile: json }]],
  },
});

export default config;
