/**
 * The images that come with the lab. Each is a script that leaves its bytes, in base64, in a variable of the page: a page
 * opened from a file may load scripts and nothing else.
 */

/** Names of the built-in images, and of their scripts. */
export const BUILT_IN: readonly { readonly id: string; readonly title: string }[] = [
  { id: 'xen-idle-6g', title: 'Xen 4.17, 6 GiB' },
  { id: 'linux4-nopti-2g-user', title: 'Linux, 2 GiB' },
];

type Images = Record<string, string>;

const images = (): Images => {
  const page = globalThis as { pagewalkImages?: Images };
  page.pagewalkImages ??= {};
  return page.pagewalkImages;
};

/** The file of a built-in image. Rejects where its script cannot be loaded. */
export async function builtInBytes(id: string): Promise<Uint8Array> {
  if (images()[id] === undefined) await loadScript(`images/${id}.js`);
  const text = images()[id];
  if (text === undefined) throw new Error(`the built-in image ${id} is not there`);
  return bytesOfBase64(text);
}

function loadScript(source: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = source;
    script.onload = (): void => resolve();
    script.onerror = (): void =>
      reject(new Error(`${source} is not beside this page; drop an image file here instead`));
    document.head.append(script);
  });
}

/** RangeError where the text is no base64. */
export function bytesOfBase64(text: string): Uint8Array {
  const decoded = atob(text);
  return Uint8Array.from(decoded, (character) => character.charCodeAt(0));
}
