/** What is done next, told for single situations; all orders of events are gone through in `test/src/explore`. */
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
  type Deed,
  type Mind,
  type Side,
} from '.';

const absent: Side = { phase: 'absent' };
const fresh = newLedger({ postcopy: false });

/** What is done when every call does what it should. */
function course(mind: Mind, answers: (deed: Deed) => Side | undefined): string[] {
  const done: string[] = [];
  for (let deed = decide(mind); deed.do !== 'rest'; deed = decide(mind)) {
    done.push('at' in deed ? `${deed.do} ${deed.at}` : deed.do);
    const ledger = before(mind.ledger, deed);
    const view = answers(deed);
    mind = learn({ ...mind, ledger }, deed, view ? { view } : { epoch: 7 });
  }
  return done;
}

const phases: Partial<Record<Deed['do'], Side['phase']>> = {
  begin: 'begun',
  prepare: 'prepared',
  perform: 'performed',
  finish: 'finished',
  confirm: 'confirmed',
  undo: 'undone',
};
const obedient = (deed: Deed): Side | undefined => {
  const phase = phases[deed.do];
  return phase && { phase };
};

test('five phases, with the registry asked before and told in between', () => {
  expect(course(firstMind(fresh, absent), obedient)).toEqual(
    ['claim', 'begin', 'prepare', 'perform', 'finish', 'commit', 'confirm', 'close'], //
  );
});

test('one that is given up while the guest is sent goes back at the source first', () => {
  const ledger = giveUp(
    { ...fresh, step: 'perform', sourceAsked: true, targetAsked: true, promised: 7 },
    { as: 'cancelled', reason: 'enough' },
  );
  const looks = (deed: Deed): Side | undefined => (deed.do === 'look' ? { phase: 'performing' } : obedient(deed));
  expect(course(freshMind(ledger), looks)).toEqual(['look source', 'undo source', 'release', 'undo target', 'close']);
});

test('a source that has handed over is let run only after the target was', () => {
  const ledger = giveUp({ ...fresh, promised: 7, targetAsked: true }, { as: 'failed', reason: 'no' });
  const mind: Mind = { ...freshMind(ledger), source: { phase: 'performed' } };
  expect(decide(mind)).toEqual({ do: 'undo', at: 'target' });
  expect(decide({ ...mind, target: 'away' })).toEqual({ do: 'wait', for: 'target' });
  expect(decide({ ...mind, target: { phase: 'undone' } })).toEqual({ do: 'undo', at: 'source', targetUndone: true });
  expect(decide({ ...mind, target: { phase: 'finished' } })).toEqual({ do: 'commit' });
});

test('a guest that post-copy has taken along is not called back', () => {
  const ledger = giveUp({ ...fresh, promised: 7, targetAsked: true }, { as: 'cancelled', reason: 'enough' });
  const source: Side = { phase: 'performed', postcopy: true };
  const mind: Mind = { ...freshMind(ledger), source, target: { phase: 'prepared' } };
  expect(decide(mind)).toEqual({ do: 'finish' });
  expect(decide({ ...mind, target: 'away' })).toEqual({ do: 'wait', for: 'target' });
  expect(decide({ ...mind, source: { phase: 'performed' } })).toEqual({ do: 'undo', at: 'target' });
  // Where the target has failed, or is known to be off, nothing is left to wait for.
  expect(decide({ ...mind, target: { phase: 'undone' } })).toEqual({ do: 'undo', at: 'source', targetUndone: true });
  const off = giveUp(ledger, { as: 'cancelled', reason: 'burnt', targetIsOff: true });
  expect(decide({ ...mind, ledger: off, target: 'away' })).toEqual({ do: 'release', fence: true });
});

test('nor does it end because it took too long, or its target refused a call', () => {
  const ledger = giveUp({ ...fresh, promised: 7, targetAsked: true }, { as: 'failed', reason: 'it took too long' });
  const source: Side = { phase: 'performed', postcopy: true };
  const mind: Mind = { ...freshMind(ledger), source, target: { phase: 'prepared' } };
  expect(decide(mind)).toEqual({ do: 'finish' });
  const refused = learn({ ...mind, ledger: fresh }, { do: 'finish' }, { refused: 'its disk is full' });
  expect([refused.ledger.givenUp, refused.target]).toEqual([undefined, 'away']);
});

test('a source that may have begun post-copy is waited for before its target is undone', () => {
  const allowed = { ...newLedger({ postcopy: true }), sourceAsked: true };
  const { ledger } = losePatience(
    { ...freshMind(before({ ...allowed, promised: 7, targetAsked: true }, { do: 'perform', recover: false })) },
    'source was away for too long',
  );
  const mind: Mind = { ...freshMind(ledger), source: 'away', target: { phase: 'prepared' } };
  expect(decide(mind)).toEqual({ do: 'wait', for: 'source' });
  expect(decide({ ...mind, source: { phase: 'performed', postcopy: true } })).toEqual({ do: 'finish' });
  expect(decide({ ...mind, source: { phase: 'performed' } })).toEqual({ do: 'undo', at: 'target' });
  const unasked = { ...ledger, performAsked: false };
  expect(decide({ ...mind, ledger: unasked })).toEqual({ do: 'undo', at: 'target' });
  const off = giveUp(ledger, { as: 'cancelled', reason: 'burnt', targetIsOff: true });
  expect(decide({ ...mind, ledger: { ...off, released: 8 } })).toMatchObject({ do: 'settle', owes: 'source' });
});

test('a guest that ended at the source with its target is told as lost, with the reason', () => {
  const ledger = giveUp({ ...fresh, promised: 7, released: 8 }, { as: 'failed', reason: 'its QEMU has ended' });
  const mind: Mind = {
    ...freshMind(ledger),
    source: { phase: 'performed', postcopy: true },
    target: { phase: 'undone' },
  };
  const error = { code: 'OPERATION_FAILED', message: 'it could not go on', details: {} };
  const next = learn(mind, decide(mind), { view: { phase: 'undone', lost: true, error } });
  expect(next.ledger.lost).toBe('it could not go on');
  expect(decide(next)).toEqual({ do: 'close', as: 'failed' });
});

test('where somebody vouches that the target is off the domain gets an epoch above the promised one first', () => {
  const ledger = giveUp({ ...fresh, promised: 7 }, { as: 'failed', reason: 'burnt', targetIsOff: true });
  const mind: Mind = { ...freshMind(ledger), source: { phase: 'performed' }, target: 'away' };
  const deed = decide(mind);
  expect(deed).toEqual({ do: 'release', fence: true });
  const next = learn(mind, deed, { epoch: 8 });
  expect(next.ledger.released).toBe(8);
  expect(decide(next)).toEqual({ do: 'undo', at: 'source', targetUndone: true });
});

test('nobody is owed anything who was never asked', () => {
  const refused = learn(firstMind(fresh, absent), { do: 'claim' }, { refused: 'it moves already' });
  expect(course(refused, obedient)).toEqual(['release', 'close']);
  expect(refused.ledger.givenUp).toEqual({ as: 'failed', reason: 'it moves already' });
});

test('an end is told while a host that is away has yet to hear of it', () => {
  const ledger = { ...fresh, promised: 7, committed: true, sourceAsked: true, targetAsked: true };
  const mind: Mind = { ...freshMind(ledger), source: 'away', target: { phase: 'finished' } };
  expect(decide(mind)).toEqual({ do: 'settle', as: 'completed', owes: 'source' });
  const settled = { ...mind, ledger: before(ledger, { do: 'settle', as: 'completed', owes: 'source' }) };
  expect(decide(settled)).toEqual({ do: 'wait', for: 'source' });
  expect(decide(learn(settled, { do: 'wait', for: 'source' }, 'done'))).toEqual({ do: 'confirm' });
});

const arrived = { ...fresh, promised: 7, committed: true, sourceAsked: true, targetAsked: true };

test('a target that has forgotten that the guest lives there, after a day, is not undone: nor does the source let it run', () => {
  const mind: Mind = { ...freshMind(arrived), source: { phase: 'performed' }, target: { phase: 'absent' } };
  expect(decide(mind)).toEqual({ do: 'confirm' });
  // Nor is that decided by a source that is away for longer than patience lasts.
  const away: Mind = { ...freshMind(arrived), source: 'away' };
  expect(decide(away)).toEqual({ do: 'look', at: 'target' });
  expect(losePatience(away, 'it was away').ledger.givenUp).toBeUndefined();
});

test('a source is told that the guest lives on the target also when that is away, but in post-copy, whose memory may be needed', () => {
  const mind: Mind = { ...freshMind(arrived), source: { phase: 'performed' }, target: 'away' };
  expect(decide(mind)).toEqual({ do: 'confirm' });
  const postcopy = { ...arrived, postcopy: true };
  expect(decide({ ...mind, ledger: postcopy })).toEqual({ do: 'wait', for: 'target' });
  expect(decide({ ...mind, ledger: { ...postcopy, settled: 'completed', owes: 'source' } })).toEqual({ do: 'confirm' });
});

test('a source that knows nothing of it any more when it is to let go of the guest has nothing to let go of', () => {
  const mind: Mind = { ...freshMind(arrived), source: { phase: 'performed' }, target: { phase: 'finished' } };
  expect(decide(learn(mind, decide(mind), { view: absent }))).toEqual({ do: 'close', as: 'completed' });
});

test('a host that is owed the end and was forgotten is waited for no longer, and told when it is back', () => {
  const settled = before(arrived, { do: 'settle', as: 'completed', owes: 'source' });
  const mind = (ledger: typeof settled): Mind => ({
    ...freshMind(ledger),
    source: 'away',
    target: { phase: 'finished' },
  });
  expect(decide(mind(settled))).toEqual({ do: 'wait', for: 'source' });
  const deed = decide(mind(forget(settled)));
  expect(deed).toEqual({ do: 'close', as: 'completed', owes: 'source' });
  const closed = before(forget(settled), deed);
  expect(closed).toMatchObject({ closed: true, owes: 'source' });
  expect(decide(mind(closed))).toEqual({ do: 'rest' });
  const open = recall(closed);
  expect(decide({ ...mind(open), source: { phase: 'performed' } })).toEqual({ do: 'confirm' });
  expect(before(open, { do: 'close', as: 'completed' })).not.toHaveProperty('owes');
});

test('a link that broke in post-copy is joined again, target first', () => {
  const ledger = { ...fresh, promised: 7, committed: true, sourceAsked: true, targetAsked: true };
  const at = (memory: Side['memory']): Deed =>
    decide({ ...freshMind(ledger), source: { phase: 'performed' }, target: { phase: 'finished', memory } });
  expect(at('arriving')).toEqual({ do: 'wait', for: 'memory' });
  expect(at('stranded')).toEqual({ do: 'prepare', recover: true });
  expect(at('awaiting')).toEqual({ do: 'perform', recover: true });
  expect(at('whole')).toEqual({ do: 'confirm' });
});

test('a target that was not reached again is asked whether it still listens', () => {
  const ledger = { ...fresh, promised: 7, committed: true, sourceAsked: true, targetAsked: true };
  const source: Side = { phase: 'performed', postcopy: true };
  const mind: Mind = { ...freshMind(ledger), source, target: { phase: 'finished', memory: 'awaiting' } };
  const refused = learn(mind, decide(mind), { refused: 'the target did not answer' });
  expect(decide(refused)).toEqual({ do: 'wait', for: 'source' });
  const again = learn(refused, { do: 'wait', for: 'source' }, 'done');
  expect(again).toMatchObject({ source: 'unknown', target: 'unknown' });
  expect(decide({ ...again, source, target: { phase: 'finished', memory: 'stranded' } })).toEqual({
    ...{ do: 'prepare', recover: true },
  });
});

test('a guest whose memory is gone for good is ended on the target, and the migration has failed', () => {
  const ledger = { ...fresh, promised: 7, committed: true, sourceAsked: true, targetAsked: true };
  const at = (memory: Side['memory']): Mind => {
    const sides = { source: { phase: 'performed', lost: true }, target: { phase: 'finished', memory } } as const;
    return { ...freshMind(ledger), ...sides };
  };
  expect(decide(at('arriving'))).toEqual({ do: 'wait', for: 'memory' });
  const silent: Mind = { ...at('arriving'), target: { phase: 'finished', memory: 'arriving', silent: true } };
  expect(decide(silent)).toEqual({ do: 'forsake' });
  // Whether the source still has it is asked while the target does not say that it arrives.
  const waiting: Mind = { ...silent, source: { phase: 'performed' } };
  expect(decide(waiting)).toEqual({ do: 'wait', for: 'memory' });
  expect(learn(waiting, { do: 'wait', for: 'memory' }, 'done')).toMatchObject({ source: 'unknown', target: 'unknown' });
  expect(decide({ ...silent, source: 'unknown' })).toEqual({ do: 'look', at: 'source' });
  expect(decide(at('whole'))).toEqual({ do: 'confirm' });
  expect(decide(at('awaiting'))).toEqual({ do: 'forsake' });
  const error = { code: 'OPERATION_FAILED', message: 'the guest ended', details: {} };
  const view = { phase: 'finished', memory: 'whole', lost: true, error } as const;
  const lost = learn(at('stranded'), { do: 'forsake' }, { view });
  expect(decide(lost)).toEqual({ do: 'confirm' });
  expect(lost.ledger.lost).toBe('the guest ended');
  expect(decide({ ...lost, source: { phase: 'confirmed' } })).toEqual({ do: 'close', as: 'failed' });
});

test('nothing is written while the guest stands still', () => {
  const ledger = before({ ...fresh, promised: 7 }, { do: 'perform', recover: false });
  expect(before(ledger, { do: 'finish' })).toBe(ledger);
});
