/**
 * A migration with the shipping state machine in two copies of the service, over simulated hosts and a bus that may lose,
 * repeat and hold back whatever it carries. Each fault is paid for from a budget, which bounds the search.
 *
 * A message that is lost is one that is held back for ever, so loss is the moment at which its sender waits no longer.
 */
import {
  before,
  decide,
  firstMind,
  forget,
  freshMind,
  giveUp,
  learn,
  losePatience,
  newLedger,
  recall,
  sideOf,
  type Deed,
  type Ledger,
  type Mind,
  type Outcome,
} from '@virtbus/migration-saga';
import type { Model, Move } from '../search';
import { keyOf } from './key';
import { apply, copyOfSides, events, runsAtSource, runsAtTarget, viewOf, type Sides } from './sides';

/** A call on its way, at its side, or answered. */
export interface Message {
  readonly deed: Deed;
  /** The copy that waits for the answer; undefined when nobody does any more. */
  readonly by?: number | undefined;
  /** It has arrived, and is answered when what it waits for is over. */
  readonly joined?: boolean;
  readonly answer?: Outcome;
}

export interface Copy {
  readonly mind: Mind;
  /** The ledger as this copy last read or wrote it. */
  readonly written: Ledger;
  /** Another has written since. */
  readonly stale: boolean;
  readonly asking?: Deed | undefined;
}

export interface World {
  sides: Sides;
  journal: Ledger;
  /** The copy that the journal names. */
  driver: number;
  /** Undefined: not driving, or dead. */
  copies: (Copy | undefined)[];
  net: Message[];
  faults: number;
  aborts: number;
}

export interface Bound {
  /** Crashes, losses, repetitions, delays and mistaken take-overs, in all. */
  faults: number;
  /** How often the migration is given up: by somebody, or because its time, or patience, is over. */
  aborts: number;
  postcopy: boolean;
}

export type Decide = (mind: Mind) => Deed;

export function migrationModel({ faults, aborts, postcopy }: Bound, decideBy: Decide = decide): Model<World> {
  const ledger = newLedger({ postcopy });
  const initial: World = {
    sides: {
      source: { phase: 'absent' },
      target: { phase: 'absent', stream: 'none' },
      registry: 'unasked',
      postcopy,
    },
    journal: ledger,
    driver: 0,
    copies: [{ mind: firstMind(ledger, { phase: 'absent' }), written: ledger, stale: false }, undefined],
    net: [],
    faults,
    aborts,
  };
  return { initial, key: keyOf, moves: (world) => moves(world, decideBy), wrong: wrongIn, ended };
}

function wrongIn({ sides, journal }: World): string | undefined {
  const { source, target, registry, hurt } = sides;
  const [here, there] = [runsAtSource(sides), runsAtTarget(sides)];
  if (source.ended && !hurt) return 'the guest is ended though nothing that it needs has failed';
  if (here && there) return 'the guest may run on both hosts';
  if (source.phase === 'confirmed') {
    if (!there) return 'the guest runs nowhere, and never will again';
    if (target.memory !== undefined && target.memory !== 'whole') return 'memory that the guest needs is gone';
  }
  if (target.lost && !source.gone) return 'the guest is ended though its memory could have come';
  if (registry === 'committed' && !there) return 'the registry has it where it does not run';
  const { settled, closed, owes } = journal;
  const arrived = there && !target.lost;
  if (settled !== undefined && (settled === 'completed') !== arrived) return `it is told to be ${settled} and is not`;
  if (!closed) return undefined;
  if (!here && !there && !source.ended) return 'it is over and the guest runs nowhere';
  if (registry === 'promised') return 'it is over and the registry keeps an epoch for it';
  if (owes) return undefined;
  const clean = there
    ? registry === 'committed' && source.phase === 'confirmed'
    : target.phase === 'absent' || target.phase === 'undone';
  return clean ? undefined : 'it is over and something is left';
}

const ended = ({ journal }: World): boolean => journal.closed === true && journal.owes === undefined;

/** To be changed: what it holds is replaced, never written into, but for the sides. */
const copyOf = (world: World): World => ({
  ...world,
  sides: copyOfSides(world.sides),
  copies: world.copies.slice(),
  net: world.net.slice(),
});

function* moves(world: World, decideBy: Decide): Iterable<Move<World>> {
  for (const { label, fault, to: sides } of events(world.sides)) {
    if (fault && world.faults === 0) continue;
    const to = { ...copyOf(world), sides };
    // With the driver goes whoever waited at it.
    if (label.startsWith('the source driver'))
      to.net = to.net.filter(({ joined, deed }) => !(joined && deed.do === 'perform'));
    yield paid({ label, to, fault });
  }
  yield* forgetting(world);
  yield* deliveries(world);
  for (const number of world.copies.keys()) yield* copyMoves(world, number, decideBy);
  if (world.aborts > 0 && !world.journal.closed) {
    const to = copyOf(world);
    to.aborts--;
    write(to, giveUp(to.journal, { as: 'cancelled', reason: 'somebody gave it up' }));
    yield { label: 'somebody gives it up', to, fault: true };
  }
}

/** Who is owed the end is taken off the fleet's list, and is back; sides remember for a day what has ended. */
function* forgetting(world: World): Iterable<Move<World>> {
  const { journal, sides, faults } = world;
  const become = (label: string, fault: boolean, change: (to: World) => void): Move<World> => {
    const to = copyOf(world);
    change(to);
    return paid({ label, to, fault });
  };
  if (journal.closed) {
    if (journal.owes) yield become('the host that is owed is back', false, (to) => write(to, recall(journal)));
    return;
  }
  if (faults === 0) return;
  if (journal.settled && journal.owes && !journal.forgotten)
    yield become('the host that is owed is forgotten', true, (to) => write(to, forget(journal)));
  // That takes a day: nobody drives it, for who does has asked, and what was on its way then never arrives.
  if (world.copies.some((copy) => copy !== undefined)) return;
  const { phase, memory = 'whole', lost, forgot } = sides.target;
  if (journal.committed && phase === 'finished' && memory === 'whole' && !lost && !forgot)
    yield become('the target has forgotten it', true, (to) => {
      to.sides.target.forgot = 'absent';
      to.net = [];
    });
}

function paid(move: Move<World>): Move<World> {
  if (move.fault) move.to.faults--;
  return move;
}

/** What one writes makes all others stale. */
function write(world: World, ledger: Ledger, by?: number): void {
  world.journal = ledger;
  world.copies = world.copies.map((copy, number) => (copy && number !== by ? { ...copy, stale: true } : copy));
}

function* deliveries(world: World): Iterable<Move<World>> {
  for (const [index, message] of world.net.entries()) {
    const name = nameOf(message.deed);
    const to = copyOf(world);
    if (message.answer !== undefined) {
      to.net.splice(index, 1);
      hear(to, message.by!, message.answer);
      yield { label: `answer: ${name}`, to, fault: false };
      continue;
    }
    if (!deliver(to, index)) continue;
    yield { label: `${message.joined ? 'is over' : 'arrives'}: ${name}`, to, fault: false };
    if (world.faults === 0 || message.joined) continue;
    const again = copyOf(world);
    deliver(again, index);
    again.net.push({ deed: message.deed });
    yield paid({ label: `arrives, and will again: ${name}`, to: again, fault: true });
  }
}

/** False when nothing has changed. */
function deliver(world: World, index: number): boolean {
  const message = world.net[index]!;
  const was = JSON.stringify(world.sides);
  if (!apply(world.sides, message.deed)) {
    world.net[index] = { ...message, joined: true };
    return !message.joined || JSON.stringify(world.sides) !== was;
  }
  if (message.by === undefined) world.net.splice(index, 1);
  else world.net[index] = { deed: message.deed, by: message.by, answer: answerTo(world.sides, message.deed) };
  return true;
}

function answerTo(sides: Sides, deed: Deed): Outcome {
  const { registry } = sides;
  const side = sideOf(deed);
  const { memory } = sides.target;
  const unheard = memory === 'awaiting' || memory === 'stranded';
  if (deed.do === 'perform' && deed.recover && !sides.source.gone && unheard) {
    return { refused: 'the target did not answer' };
  }
  if (side) return { view: viewOf(sides, side) };
  if (deed.do === 'claim' && registry === 'released') return { refused: 'this migration was withdrawn' };
  return deed.do === 'commit' ? 'done' : { epoch: 1 };
}

function hear(world: World, number: number, outcome: Outcome): void {
  const { asking, ...copy } = world.copies[number]!;
  world.copies[number] = { ...copy, mind: learn(copy.mind, asking!, outcome) };
}

function* copyMoves(world: World, number: number, decideBy: Decide): Iterable<Move<World>> {
  const copy = world.copies[number];
  const who = `copy ${number}`;
  const change = (fault: boolean, label: string, work: (to: World) => void): Move<World> => {
    const to = copyOf(world);
    work(to);
    return paid({ label: `${who} ${label}`, to, fault });
  };
  if (!copy) {
    if (world.journal.closed) return;
    const mistaken = world.copies[world.driver] !== undefined;
    if (mistaken && world.faults === 0) return;
    yield change(mistaken, `takes it over${mistaken ? ' though another drives it' : ''}`, (to) => {
      to.driver = number;
      to.copies[number] = reading(to.journal);
      write(to, to.journal, number);
    });
    return;
  }
  if (world.faults > 0) yield change(true, 'is killed', (to) => abandon(to, number, undefined));
  const isLate = (label: string, work: (to: World) => void): Move<World> => {
    const { to } = change(false, label, work);
    to.aborts--;
    return { label: `${who} ${label}`, to, fault: true };
  };
  if (copy.asking === undefined) {
    let label = '';
    const move = change(false, '', (to) => (label = act(to, number, decideBy)));
    yield { ...move, label: `${who}: ${label}` };
    const isWaiting = decideBy(copy.mind).do === 'wait';
    if (isWaiting && world.aborts > 0) {
      yield isLate('has no more patience', (to) => {
        to.copies[number] = { ...copy, mind: losePatience(copy.mind, 'somebody was away for too long') };
      });
    }
    return;
  }
  if (copy.asking.do === 'perform' && world.aborts > 0) {
    yield isLate('finds that the transfer takes too long', (to) => {
      abandon(to, number, copy);
      hear(to, number, { refused: 'it took too long' });
    });
  }
  if (copy.stale) yield change(false, 'hears that the journal has changed', (to) => readAgain(to, number));
  const underWay = world.net.some(({ by }) => by === number);
  if (underWay && world.faults === 0) return;
  yield change(underWay, `waits no longer for ${nameOf(copy.asking)}`, (to) => {
    abandon(to, number, copy);
    hear(to, number, 'away');
  });
}

const reading = (journal: Ledger): Copy => ({ mind: freshMind(journal), written: journal, stale: false });

/** Whoever is not the one that the journal names stops. */
function readAgain(world: World, number: number): void {
  abandon(world, number, world.driver === number ? reading(world.journal) : undefined);
}

/** Nobody waits for the answer any more; the call itself may still arrive. */
function abandon(world: World, number: number, become: Copy | undefined): void {
  world.copies[number] = become;
  world.net = world.net
    .filter(({ by, answer }) => by !== number || answer === undefined)
    .map((message) => (message.by === number ? { ...message, by: undefined } : message));
}

/** One turn of a copy, as the service's loop takes it: decide, write down, ask. */
function act(world: World, number: number, decideBy: Decide): string {
  const copy = world.copies[number]!;
  const deed = decideBy(copy.mind);
  const ledger = before(copy.mind.ledger, deed);
  if (ledger !== copy.written) {
    if (copy.stale) {
      readAgain(world, number);
      return 'was not the last to write, and reads again';
    }
    write(world, ledger, number);
  }
  const mind = { ...copy.mind, ledger };
  if (deed.do === 'rest') world.copies[number] = undefined;
  else if (['wait', 'settle', 'close'].includes(deed.do)) {
    world.copies[number] = { ...copy, written: ledger, mind: learn(mind, deed, 'done') };
  } else {
    world.copies[number] = { ...copy, written: ledger, mind, asking: deed };
    world.net.push({ deed, by: number });
  }
  return nameOf(deed);
}

function nameOf(deed: Deed): string {
  const { do: verb, ...how } = deed;
  return [verb, ...Object.entries(how).map(([name, value]) => `${name}=${String(value)}`)].join(' ');
}
