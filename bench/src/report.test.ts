import { atMostPlus, atMostTimes, type Row } from './measure/row';
import { toJson, toTable } from './report';

const row: Row = {
  name: 'start',
  metric: 'reply',
  unit: 'ms',
  ours: { value: 50, min: 40, max: 60, runs: 9 },
  peer: { value: 200, min: 190, max: 230, runs: 9 },
  peerName: 'libvirtd',
  goal: atMostTimes(0.2),
};
const { peer: _, ...alone } = row;

test('a row tells both figures, their ratio and whether the goal is met', () => {
  expect(toTable([row])).toContain('0.25 ×');
  expect(toTable([row])).toContain('NOT MET');
  expect(toTable([{ ...row, goal: atMostPlus(-150, 'ms') }])).not.toContain('NOT MET');
});

test('without the peer there is neither ratio nor verdict', () => {
  expect(toTable([alone])).not.toMatch(/\bmet\b/i);
  expect(toJson([alone])).toEqual([
    { name: 'start', metric: 'reply', unit: 'ms', ours: 50, peer: null, peerName: 'libvirtd', ratio: null, runs: 9 },
  ]);
});

test('the JSON form has the ratio as a number', () => {
  expect(toJson([row])[0]).toMatchObject({ ours: 50, peer: 200, ratio: 0.25 });
});
