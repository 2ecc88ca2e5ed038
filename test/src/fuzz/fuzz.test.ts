import { Source, type Failure, type Outcomes } from './frame';
import { targets } from './targets';

/** The long run is `npm run fuzz -- TARGET`; this one finds what is broken altogether. */
const documents = 3000;
const seed = 20_260_101;

test.each(targets)(
  '$name: no damaged document makes its reader throw what is no answer, or takes long',
  async (target) => {
    const source = new Source(target, seed);
    const outcomes: Outcomes = {};
    const failures: Failure[] = [];
    for (let index = 0; index < documents; index++) {
      const failure = await source.try(index, 5000, outcomes);
      if (failure) failures.push(failure);
    }
    expect(failures).toEqual([]);
    // Damage that nothing survives would try the first step alone.
    expect(outcomes['accepted']).toBeGreaterThan(documents / 100);
  },
  60_000,
);

test('a document of a run can be made again by itself', () => {
  for (const target of targets) {
    const [one, other] = [new Source(target, 7), new Source(target, 7)];
    for (let index = 0; index < 50; index++) one.document(index);
    expect(other.document(50)).toEqual(one.document(50));
    expect(new Source(target, 8).document(50)).not.toEqual(one.document(50));
  }
});
