#!/usr/bin/env node
/** The `pagewalk` command. */

// Traces tell lines of code. Only what is loaded after this has them, and loading takes longer with them.
if (process.argv[2] === 'race') process.setSourceMapsEnabled(true);
await import('./command.ts');
