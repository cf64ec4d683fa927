// The keys that the page of values shows: the first ones of a prefix, kept up to date by a watch.

import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { WatchEvent } from "../live/watch";

/** How many keys the page shows. */
export const PAGE = 100;

export interface Entry {
  key: string;
  value: Uint8Array;
  revision: bigint;
  expireTime?: Timestamp;
}

export interface Row {
  entry: Entry;
  /** What has just happened to it. */
  mark?: { text: "new" | "changed"; at: number };
}

export interface Rows {
  /** In the order of their keys. */
  list: Row[];
  /** Whether there are more keys than are shown. */
  hasMore: boolean;
}

export const NO_ROWS: Rows = { list: [], hasMore: false };

/** Rows of a scan with one key more than the page shows. */
export const toRows = (entries: Entry[]): Rows => ({
  list: entries.slice(0, PAGE).map((entry) => ({ entry })),
  hasMore: entries.length > PAGE,
});

/** Applies a change. Changes that the rows have already are ignored. */
export function apply(rows: Rows, event: WatchEvent): Rows {
  switch (event.case) {
    case "entry":
    case "stored":
      return store(rows, event.value);
    case "removed": {
      const { key, previousRevision } = event.value;
      const isOld = (revision: bigint) => previousRevision !== 0n && revision > previousRevision;
      return { ...rows, list: rows.list.filter(({ entry }) => entry.key !== key || isOld(entry.revision)) };
    }
    default:
      return rows;
  }
}

function store({ list, hasMore }: Rows, entry: Entry): Rows {
  const index = list.findIndex((row) => row.entry.key >= entry.key);
  const known = list[index]?.entry;
  if (known?.key === entry.key) {
    if (known.revision >= entry.revision) return { list, hasMore };
    return { list: list.with(index, { entry, mark: { text: "changed", at: Date.now() } }), hasMore };
  }
  // A key behind the last one that is shown is on a later page.
  if (index < 0 && hasMore) return { list, hasMore };
  const longer = list.toSpliced(index < 0 ? list.length : index, 0, { entry, mark: { text: "new", at: Date.now() } });
  return { list: longer.slice(0, PAGE), hasMore: hasMore || longer.length > PAGE };
}

/** The rows without marks that are older than a time. */
export function withoutOldMarks(rows: Rows, time: number): Rows {
  const isOld = ({ mark }: Row) => mark !== undefined && mark.at < time;
  return rows.list.some(isOld) ? { ...rows, list: rows.list.map((row) => (isOld(row) ? { entry: row.entry } : row)) } : rows;
}
