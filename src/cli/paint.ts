/**
 * Colours, where standard output is a terminal: FORCE_COLOR wants them elsewhere too, NO_COLOR nowhere. picocolors' own rule
 * would also colour pipes and files wherever CI is set.
 */
import pc from 'picocolors';

const { FORCE_COLOR = '', NO_COLOR = '', TERM } = process.env;
const wanted = FORCE_COLOR === '' ? process.stdout.isTTY === true && TERM !== 'dumb' : FORCE_COLOR !== '0';

export const paint: ReturnType<typeof pc.createColors> = pc.createColors(NO_COLOR === '' && wanted);
