/** Bad input or usage, in one sentence for people: the command ends with it, the lab shows it. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}
