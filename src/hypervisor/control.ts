/** The words that the CPUs of one Xen share besides tables and frame table: state, locks, clocks, pools. */
import { MAX_CPUS } from '../cpu/mailboxes.ts';

// Words that are read by all and hardly ever written lie together; what is written has a line of the caches of its own,
// and so has each CPU: a word of a line that another CPU has just written is 100 ns away.
const LINE = 16;
/** SYSTEM_*. */
export const SYSTEM_STATE = 0;
/** 1 when the hardware domain (dom0) exists: allocations may fail from then on. */
export const HARDWARE_DOMAIN = 1;
/** One past the backing page of the last fresh frame. */
export const FRESH_END = 2;
/** CPU + 1 that holds `map_pgdir_lock`, 0 where none does. */
export const PGDIR_LOCK: number = LINE;
/** Number of the shootdown or grace period begun last. Wraps. */
export const SHOOTDOWNS: number = 2 * LINE;
/** Xen: tlbflush_clock. */
export const TLB_CLOCK: number = SHOOTDOWNS + 1;
/** Backing page of the fresh frame that is taken next. */
export const FRESH: number = 3 * LINE;
const OF_CPUS: number = 4 * LINE;
export const CONTROL_WORDS: number = OF_CPUS + LINE * MAX_CPUS;

// Words of each CPU.
/** The clock at its last full flush. Xen: tlbflush_time. */
export const TLB_TIME = 0;
/** The first free frame of its pool (backing page + 1), and the pool's lock. */
export const POOL = 1;
export const POOL_LOCK = 2;
/** Number of the last shootdown or grace period when its operation began; 0 outside (grace.ts). */
export const INSIDE = 3;

/** Where a word of a CPU lies. */
export const ofCpu = (cpu: number, word: number): number => OF_CPUS + cpu * LINE + word;

/** Which word of a CPU lies there; -1 where it is none. */
export const wordOfCpu = (index: number): number => (index < OF_CPUS ? -1 : (index - OF_CPUS) % LINE);

// Xen: enum system_state. Locks are taken above SYS_STATE_boot.
/** Xen: SYS_STATE_early_boot. */
export const SYS_STATE_EARLY_BOOT = 0;
/** Xen: SYS_STATE_boot. */
export const SYS_STATE_BOOT = 1;
/** Xen: SYS_STATE_smp_boot. */
export const SYS_STATE_SMP_BOOT = 2;
/** Xen: SYS_STATE_active. */
export const SYS_STATE_ACTIVE = 3;
/** Xen: SYS_STATE_suspend. */
export const SYS_STATE_SUSPEND = 4;
/** Xen: SYS_STATE_resume. */
export const SYS_STATE_RESUME = 5;
