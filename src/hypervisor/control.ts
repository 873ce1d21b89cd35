/** The words that the CPUs of one Xen share besides tables and frame table: state, locks, clocks, pools. */
import { MAX_CPUS } from '../cpu/mailboxes.ts';

/** SYSTEM_*. */
export const SYSTEM_STATE = 0;
/** CPU + 1 that holds `map_pgdir_lock`, 0 where none does. */
export const PGDIR_LOCK = 1;
/** Number of the shootdown or grace period begun last. Wraps. */
export const SHOOTDOWNS = 3;
/** Xen: tlbflush_clock. */
export const TLB_CLOCK = 4;
/** Backing page + 1 from which fresh frames are taken next, and one past the last. */
export const FRESH = 5;
export const FRESH_END = 6;
/** 1 when the hardware domain (dom0) exists: allocations may fail from then on. */
export const HARDWARE_DOMAIN = 7;
/** By CPU: the clock at its last full flush. Xen: tlbflush_time. */
export const TLB_TIME = 16;
/** By CPU: the first free frame of its pool (backing page + 1), and the pool's lock. */
export const POOL: number = TLB_TIME + MAX_CPUS;
export const POOL_LOCK: number = POOL + MAX_CPUS;
/** By CPU: number of the last shootdown or grace period when its operation began; 0 outside (grace.ts). */
export const INSIDE: number = POOL_LOCK + MAX_CPUS;
export const CONTROL_WORDS: number = INSIDE + MAX_CPUS;

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
