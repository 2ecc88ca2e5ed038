/**
 * The state machine of a migration: what is known, what is to be done next, what is learnt from it. Pure: the migration
 * service drives it over the bus, and tests drive it through every order of events.
 */
export { decide, type At, type Deed, type Ended } from './decide';
export { before, forget, giveUp, learn, losePatience, recall, sideOf, type Outcome } from './learn';
export { Ledger, newLedger } from './ledger';
export { firstMind, freshMind, isIn, isKnown, type Mind, type Seen, type Side } from './mind';
