/** Examples, bundled over the sources instead of the built package. */
import { build } from 'esbuild';
import { ROOT } from '../package/run-script.ts';

/** The code of one example, for `node --input-type=module -`. */
export async function bundledExample(name: string): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [`examples/${name}.ts`],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    alias: {
      pagewalk: './src/index.ts',
      'pagewalk/explorer': './src/explorer/index.ts',
      'pagewalk/hypervisor': './src/hypervisor/index.ts',
      'pagewalk/image': './src/image/index.ts',
    },
    logLevel: 'error',
  });
  return outputFiles[0]!.text;
}
