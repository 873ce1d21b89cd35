/** What one CPU did, since construction or `reset`. Counts that a hit view answers are not among them. */
export class Counters {
  /** TLB lookups that found an entry. With hit views off (an option of `Cpu`), every access that hits. */
  hits = 0;
  /** Page walks that were begun; one done again because an entry changed meanwhile is the same walk. */
  walks = 0;
  /** #PF, #GP, #SS and #AC. */
  faults = 0;
  /** Operations that dropped cached translations. */
  invalidations = 0;

  /** Lookups that found nothing; each leads to a walk. */
  get misses(): number {
    return this.walks;
  }

  /** Sets all of them to 0. */
  reset(): void {
    this.hits = 0;
    this.walks = 0;
    this.faults = 0;
    this.invalidations = 0;
  }
}
