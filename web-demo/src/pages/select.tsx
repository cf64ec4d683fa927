import type { Namespace } from "../api";

/** Chooses one of several namespaces. */
export function NamespaceSelect(props: { namespaces: Namespace[]; chosen: string; choose: (name: string) => void }) {
  return (
    <label>
      Namespace{" "}
      <select value={props.chosen} onChange={(event) => props.choose(event.currentTarget.value)}>
        {props.namespaces.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}
