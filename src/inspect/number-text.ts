/** Addresses and counts as people write them. */
import { UsageError } from './usage-error.ts';

/** Hex digits, `0x` optional. */
export function parseAddress(text: string): string {
  const digits = text.replace(/^0x/i, '');
  if (!/^[0-9a-f]+$/i.test(digits)) throw new UsageError(`not a hex address: ${JSON.stringify(text)}`);
  if (digits.replace(/^0+/, '').length > 16) throw new UsageError(`address out of range (64 bits): ${text}`);
  return `0x${digits.replace(/^0+(?=.)/, '')}`;
}

/** A decimal number from `least` to `most`. */
export function parseCount(text: string, what: string, least: number, most: number): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`${what} is a number from ${least} to ${most}, not ${JSON.stringify(text)}`);
  return value;
}
