/**
 * What takes long runs in workers, so that the page stays quick. A worker runs the page's own script, which sees that it has
 * no document: by its address, or, in a page that is one file, by its text.
 */
import { searchFor } from '../explorer/declared.ts';
import { explore } from '../explorer/explore.ts';
import { outcomeJson } from '../explorer/report.ts';
import { variantOf } from '../explorer/scenarios/all.ts';
import type { ExploredVariant } from './start.ts';
import { runThread, type ThreadTask } from './thread.ts';

export interface ExploreJob {
  readonly job: 'explore';
  readonly name: string;
  readonly variant: string;
}

export type Job = ExploreJob | ThreadTask;

type Message =
  | { readonly progress: string }
  | { readonly result: unknown; readonly progress?: undefined }
  | { readonly failure: string; readonly progress?: undefined; readonly result?: undefined };

/** A job that runs; `stop` ends it, and its result never comes. */
export interface Running<T> {
  readonly result: Promise<T>;
  stop(): void;
}

/** Starts a job in a worker of its own; in the page itself where a worker may not load the script, as from file://. */
export function startJob<T>(job: Job, onProgress: (text: string) => void = () => {}): Running<T> {
  let worker: Worker;
  try {
    worker = new Worker(scriptUrl());
  } catch {
    return inPage<T>(job, onProgress);
  }
  const result = new Promise<T>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Message>): void => {
      if (data.progress !== undefined) {
        onProgress(data.progress);
        return;
      }
      worker.terminate();
      if ('failure' in data) reject(new Error(data.failure));
      else resolve(data.result as T);
    };
    worker.onerror = (event): void => reject(new Error(event.message));
  });
  worker.postMessage(job);
  return { result, stop: () => worker.terminate() };
}

/** After the page has been drawn once more; it stands still then. */
function inPage<T>(job: Job, onProgress: (text: string) => void): Running<T> {
  let timer: ReturnType<typeof setTimeout>;
  const result = new Promise<T>((resolve, reject) => {
    timer = setTimeout(() => {
      try {
        resolve(runJob(job, onProgress) as T);
      } catch (failure) {
        reject(failure);
      }
    }, 50);
  });
  return { result, stop: () => clearTimeout(timer) };
}

const runJob = (job: Job, tell: (progress: string) => void): unknown =>
  job.job === 'explore' ? exploreOne(job, tell) : runThread(job);

let url: string | undefined;

function scriptUrl(): string {
  const script = document.getElementById('script') as HTMLScriptElement;
  url ??= script.src || URL.createObjectURL(new Blob([script.text], { type: 'text/javascript' }));
  return url;
}

/** In a worker: does what the page asks for. */
export function serveJobs(): void {
  const port = globalThis as unknown as {
    postMessage(message: Message): void;
    onmessage: (event: MessageEvent<Job>) => void;
  };
  port.onmessage = ({ data }): void => {
    try {
      port.postMessage({ result: runJob(data, (progress) => port.postMessage({ progress })) });
    } catch (failure) {
      port.postMessage({ failure: (failure as Error).message });
    }
  };
}

function exploreOne({ name, variant }: ExploreJob, tell: (progress: string) => void): ExploredVariant {
  const declared = variantOf(name, variant);
  const outcome = explore(declared.scenario, {
    ...searchFor(declared),
    onProgress: ({ states, events }) =>
      tell(`${states.toLocaleString('en')} states, ${events.toLocaleString('en')} events`),
  });
  return { ...(outcomeJson(outcome) as Omit<ExploredVariant, 'name' | 'variant'>), name, variant };
}
