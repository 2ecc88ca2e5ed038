/**
 * Every order of events of a migration, within small bounds; `npm run explore -- migration` goes further. Looked for are a
 * guest that may run twice, or never again, an end that leaves something behind, and a state from which no end is reached.
 */
import { decide, isIn, isKnown, type Deed, type Mind } from '@virtbus/migration-saga';
import { migrationModel, type Bound } from '../explore/migration/world';
import { explore } from '../explore/search';

const most = 500_000;

test.each<[string, Bound, number]>([
  ['when nothing goes wrong', { faults: 0, aborts: 0, postcopy: false }, 30],
  ['with a fault anywhere, and given up at any time', { faults: 1, aborts: 1, postcopy: false }, 30_000],
  ['in post-copy, with a fault, and given up at any time', { faults: 1, aborts: 1, postcopy: true }, 30_000],
  ['in post-copy, with a link that breaks again', { faults: 2, aborts: 0, postcopy: true }, 100_000],
])(
  'the guest runs on one host at a time, and the migration always ends: %s',
  (_case, bound, least) => {
    const { states, ended, cut, trouble } = explore(migrationModel(bound), most);
    expect(trouble).toBeUndefined();
    expect(cut).toBe(false);
    expect(ended).toBeGreaterThan(0);
    // A search that finds little has looked at little.
    expect(states).toBeGreaterThan(least);
  },
  60_000,
);

describe('a machine that is wrong is found out', () => {
  const found = (bound: Partial<Bound>, wrongly: (mind: Mind, right: Deed) => Deed): string | undefined => {
    const model = migrationModel({ faults: 1, aborts: 1, postcopy: false, ...bound }, (mind) =>
      wrongly(mind, decide(mind)),
    );
    return explore(model, most).trouble?.what;
  };

  test('that ends the source before the target runs', () => {
    expect(found({}, (_mind, right) => (right.do === 'finish' ? { do: 'confirm' } : right))).toBe(
      'the guest runs nowhere, and never will again',
    );
  });

  test('that goes by the word of a target which has forgotten that it runs the guest', () => {
    const forgetful = ({ ledger, ...sides }: Mind): Mind => {
      const { committed: _committed, ...rest } = ledger;
      return { ...sides, ledger: rest };
    };
    const isForgotten = ({ ledger, target }: Mind): boolean =>
      ledger.committed === true && isIn(target, 'absent', 'undone');
    expect(
      found({ faults: 2, aborts: 0 }, (mind, right) => (isForgotten(mind) ? decide(forgetful(mind)) : right)),
    ).toBe('the guest may run on both hosts');
  });

  test('that lets the source run without the word of the target', () => {
    expect(
      found({}, (_mind, right) =>
        right.do === 'undo' && right.at === 'source' ? { ...right, targetUndone: true } : right,
      ),
    ).toBe('the guest may run on both hosts');
  });

  test('that leaves the target to itself when it goes back', () => {
    expect(
      found({}, (_mind, right) =>
        right.do === 'undo' && right.at === 'target' ? { do: 'wait', for: 'target' } : right,
      ),
    ).toBe('no way leads to an end');
  });

  test('that ends the source of a post-copy while its memory is still needed', () => {
    expect(
      found({ postcopy: true }, (_mind, right) =>
        right.do === 'wait' && right.for === 'memory' ? { do: 'confirm' } : right,
      ),
    ).toBe('memory that the guest needs is gone');
  });

  test('that ends a guest over a broken link whose other end is still there', () => {
    expect(
      found({ postcopy: true }, (_mind, right) =>
        right.do === 'prepare' && right.recover ? { do: 'forsake' } : right,
      ),
    ).toBe('the guest is ended though its memory could have come');
  });

  test('that calls a guest back which post-copy has taken along', () => {
    const isTaken = ({ ledger, source, target }: Mind): boolean =>
      ledger.givenUp !== undefined && isKnown(source) && source.postcopy === true && isIn(target, 'prepared');
    expect(
      found({ postcopy: true, faults: 0 }, (mind, right) => (isTaken(mind) ? { do: 'undo', at: 'target' } : right)),
    ).toBe('the guest is ended though nothing that it needs has failed');
  });

  test('that calls it back because it took too long', () => {
    const isLate = ({ ledger, source, target }: Mind): boolean =>
      ledger.givenUp?.as === 'failed' && isKnown(source) && source.postcopy === true && isIn(target, 'prepared');
    expect(
      found({ postcopy: true, faults: 0 }, (mind, right) => (isLate(mind) ? { do: 'undo', at: 'target' } : right)),
    ).toBe('the guest is ended though nothing that it needs has failed');
  });

  test('that has no patience with a source which may have begun post-copy', () => {
    const isGuessed = ({ ledger, source, target }: Mind): boolean =>
      ledger.givenUp !== undefined && source === 'away' && isIn(target, 'prepared');
    expect(found({ postcopy: true }, (mind, right) => (isGuessed(mind) ? { do: 'undo', at: 'target' } : right))).toBe(
      'the guest is ended though nothing that it needs has failed',
    );
  });

  test('that never asks a target again which awaited its source', () => {
    expect(
      found({ postcopy: true, faults: 2, aborts: 0 }, (mind, right) =>
        right.do === 'prepare' && right.recover && mind.ledger.step === 'recover'
          ? { do: 'perform', recover: true }
          : right,
      ),
    ).toBe('no way leads to an end');
  });

  test('that waits for memory which is gone for good', () => {
    expect(
      found({ postcopy: true }, (_mind, right) => (right.do === 'forsake' ? { do: 'prepare', recover: true } : right)),
    ).toBe('no way leads to an end');
  });
});
