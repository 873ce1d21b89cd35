/**
 * What CPUs of several threads tell one another, in one thread: each `Mailboxes` over the buffer stands for a thread that
 * runs one CPU. Whoever waits for a thread that does not run gives up at once, and leaves its request behind.
 */
import { describe, expect, it } from 'vitest';
import { Mailboxes, StuckError } from '../../src/cpu/mailboxes.ts';

type Dropped = [cpu: number, lo: number, hi: number, flags: number];

class Threads {
  readonly dropped: Dropped[] = [];
  readonly each: readonly Mailboxes[];
  /** Called while a CPU drops what it was asked to. */
  onDrop: () => void = () => {};

  constructor(count: number) {
    const first = new Mailboxes(count, undefined, true);
    const others = Array.from({ length: count - 1 }, () => new Mailboxes(count, first.buffer, true));
    this.each = [first, ...others];
    this.each.forEach((mailboxes, cpu) => {
      mailboxes.patienceMs = 1;
      mailboxes.adopt(cpu, (lo, hi, flags) => {
        this.dropped.push([cpu, lo, hi, flags]);
        this.onDrop();
      });
    });
  }

  /** Asks, and gives up. */
  ask(sender: number, mask: number, flags: number): void {
    expect(() => this.each[sender]!.request(sender, mask, 0x1000 * sender, sender, flags)).toThrow(StuckError);
  }

  words(): number[] {
    return [...new Int32Array(this.each[0]!.buffer)];
  }
}

describe('a request to a CPU of another thread', () => {
  it('that was taken up and not finished still counts as unserved, for whoever asks who does not answer', () => {
    const threads = new Threads(3);
    threads.ask(0, 0b110, 1);
    expect(threads.each[0]!.unserved(0)).toEqual([1, 2]);
    threads.onDrop = () => {
      throw new Error('died');
    };
    expect(() => threads.each[1]!.serve(1)).toThrow('died');
    threads.onDrop = () => {};
    threads.each[2]!.serve(2);
    expect(threads.each[0]!.unserved(0)).toEqual([1]);
  });

  it('waits for a CPU that runs', () => {
    const threads = new Threads(2);
    threads.ask(0, 0b10, 1);
    expect(threads.dropped).toEqual([]);
    expect(threads.each[0]!.unserved(0)).toEqual([1]);
  });

  it('does not wait for one that is offline, and asks nothing of it later', () => {
    const threads = new Threads(2);
    threads.each[1]!.setOffline(1);
    threads.each[0]!.request(0, 0b10, 0, 0, 1);
    expect(threads.each[0]!.unserved(0)).toEqual([]);
  });

  it('does not wait for one that is parked, which drops everything before it runs again', () => {
    const threads = new Threads(2);
    threads.each[1]!.park(1);
    threads.each[0]!.request(0, 0b10, 0x1000, 0, 1);
    expect(threads.dropped).toEqual([]);
    threads.each[1]!.unpark(1);
    expect(threads.dropped.at(-1)).toEqual([1, 0, 0, 0]);
  });

  it('is served with what it asks for, once', () => {
    const threads = new Threads(2);
    threads.ask(1, 0b01, 7);
    threads.each[0]!.serve(0);
    threads.each[0]!.serve(0);
    expect(threads.dropped).toEqual([[0, 0x1000, 1, 7]]);
    expect(threads.each[1]!.unserved(1)).toEqual([]);
  });

  it('is acknowledged when it is done and not before: until then nothing changes but that it was taken', () => {
    const threads = new Threads(2);
    threads.ask(1, 0b01, 7);
    const before = threads.words();
    let meanwhile = before;
    threads.onDrop = () => {
      meanwhile = threads.words();
    };
    threads.each[0]!.serve(0);
    const changed = (words: readonly number[]): number => words.filter((word, at) => word !== before[at]).length;
    expect([changed(meanwhile), changed(threads.words()) > 1]).toEqual([1, true]);
  });

  it('does not displace the request of another CPU', () => {
    const threads = new Threads(4);
    for (const sender of [1, 2, 3]) threads.ask(sender, 0b0001, sender);
    threads.each[0]!.serve(0);
    expect(threads.dropped).toEqual([1, 2, 3].map((sender) => [0, 0x1000 * sender, sender, sender]));
  });
});

describe('a CPU that waits', () => {
  /** Asks of CPU 0 when its wait has looked so often; ends the wait when that is served. */
  const servesAfter = (looks: number): Dropped[] => {
    const threads = new Threads(2);
    threads.each[0]!.patienceMs = 1000;
    let looked = 0;
    threads.each[0]!.waitUntil(0, 'a lock', () => {
      looked += 1;
      if (looked === looks) threads.ask(1, 0b01, 7);
      return threads.dropped.length > 0;
    });
    return threads.dropped;
  };

  it('serves requests while it spins', () => {
    expect(servesAfter(3)).toEqual([[0, 0x1000, 1, 7]]);
  });

  it('serves requests when it has begun to sleep', () => {
    expect(servesAfter(2005)).toEqual([[0, 0x1000, 1, 7]]);
  });

  it('gives up when its patience is at an end, and says what it waited for', () => {
    const [mailboxes] = new Threads(1).each;
    mailboxes!.explainStuck = (cpu) => `; CPU ${cpu} explains`;
    expect(() => mailboxes!.waitUntil(0, 'a lock', () => false)).toThrow(
      'CPU 0 waited 1 ms for a lock; CPU 0 explains',
    );
  });
});

describe('a request in halves', () => {
  it('is asked, dropped, acknowledged, and only then served', () => {
    const { each, dropped } = new Threads(2);
    const number = each[0]!.post(0, 0b10, 0x5000, 7, 1);
    expect([each[1]!.isAsked(1), each[0]!.isServed(0, 0b10, number)]).toEqual([true, false]);
    const senders = each[1]!.drop(1);
    expect([dropped, senders, each[1]!.isAsked(1)]).toEqual([[[1, 0x5000, 7, 1]], 0b01, false]);
    expect(each[0]!.isServed(0, 0b10, number)).toBe(false);
    each[1]!.acknowledge(1, senders);
    expect(each[0]!.isServed(0, 0b10, number)).toBe(true);
    each[0]!.awaitServed(0, 0b10, number);
  });

  it('to a CPU of the same thread is served at once, unless somebody else decides when', () => {
    const mailboxes = new Mailboxes(2);
    const dropped: number[] = [];
    for (const cpu of [0, 1]) mailboxes.adopt(cpu, () => dropped.push(cpu));
    mailboxes.request(0, 0b10, 0, 0, 1);
    expect(dropped).toEqual([1]);
    mailboxes.servesAtOnce = false;
    const number = mailboxes.post(0, 0b10, 0, 0, 1);
    expect([dropped, mailboxes.isServed(0, 0b10, number)]).toEqual([[1], false]);
    mailboxes.serve(1);
    expect([dropped, mailboxes.isServed(0, 0b10, number)]).toEqual([[1, 1], true]);
  });
});
