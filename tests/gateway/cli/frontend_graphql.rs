//! `prism frontend`: definitions of the type `graphql`.

use std::{fs, path::Path};

use super::{Run, printed, prism};

const TASKS: &str = "examples/frontends/tasks.yaml";

/// Runs `lint` on a copy of the example with a text replaced in one of its files. Returns its lines, without the folder.
fn lint(file: &str, from: &str, to: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tasks.yaml", "tasks.graphql"] {
        let mut text = fs::read_to_string(Path::new("examples/frontends").join(name)).unwrap();
        if name == file {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        fs::write(folder.path().join(name), text).unwrap();
    }
    let Run { code, stdout, stderr } = prism(&format!("frontend lint {}/tasks.yaml", folder.path().display()));
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    stdout.replace(&format!("{}/", folder.path().display()), "").lines().map(str::to_owned).collect()
}

#[test]
fn a_valid_definition_is_linted_described_and_listed() {
    assert_eq!(printed(&format!("frontend lint {TASKS}")), "✅ examples/frontends/tasks.yaml: 5 fields\n");
    let described = printed(&format!("frontend describe {TASKS}"));
    assert!(described.contains("Schema:     examples/frontends/tasks.graphql"), "{described}");
    assert!(described.contains("Mutation.saveTask         Store"), "{described}");
    let listed = printed("frontend list --config examples/tasks.yaml");
    assert!(listed.contains("http://127.0.0.1:8980/tasks/graphql"), "{listed}");
    let refused = prism(&format!("frontend try {TASKS} GET /x"));
    assert!(refused.code != Some(0) && refused.stderr.contains("is a GraphQL API"), "{}", refused.stderr);
}

#[test]
fn the_schema_is_printed_with_its_descriptions() {
    let schema = printed(&format!("frontend sdl --definition {TASKS}"));
    for part in [
        "A task; null: there is none with this id.",
        "tasks(first: Int! = 20, after: String): TaskPage!",
        "  HIGH\n",
        "priority: Priority! = NORMAL",
    ] {
        assert!(schema.contains(part), "{part}: {schema}");
    }
    assert_eq!(printed("frontend sdl --definition tasks --config examples/tasks.yaml"), schema);
    let refused = prism("frontend sdl --definition examples/frontends/notes.yaml");
    assert!(refused.code != Some(0) && refused.stderr.contains("is no GraphQL API"), "{}", refused.stderr);
}

#[test]
fn problems_of_mappings_have_file_line_and_column() {
    for (from, to, problem) in [
        ("rpc: Retrieve", "rpc: Retreive", "tasks.yaml:9:10: unknown RPC `Retreive`; did you mean `Retrieve`?"),
        (
            "{key: \"'task/' + args.id\"}",
            "{keys: args.id}",
            "tasks.yaml:10:15: unknown field of prism.patterns.keyvalue.v1.RetrieveRequest `keys`; did you mean `key`?",
        ),
        ("args.id", "args.name", "tasks.yaml:10:20: "),
        ("task:\n    rpc", "tusk:\n    rpc", "tasks.yaml:8:3: unknown field of Query `tusk`; did you mean `task`?"),
        (
            "{id: args.id, title: task.title,",
            "{id: args.id, titel: task.title,",
            "tasks.yaml:12:27: unknown field of Task `titel`; did you mean `title`?",
        ),
        ("{id: args.id, title", "{title", "tasks.yaml:12:13: the field `id` of Task has no mapping; set it here, or use null"),
        (
            "revision: reply.revision",
            "revision: args.id",
            "tasks.yaml:30:37: `SavedTask.revision` has the type Float!, but this is a string",
        ),
        ("result: reply.removed", "result: null", "tasks.yaml:34:13: `Mutation.removeTask` has the type Boolean!, but this is null"),
        ("rpc: Scan", "rpc: Store", "tasks.yaml:15:10: a query can't call Store, which writes; make the field a mutation"),
        (
            "rpc: Watch",
            "rpc: Retrieve",
            "tasks.yaml:37:10: a subscription can't call Retrieve, which has one reply; it needs an RPC with a stream of replies",
        ),
        ("schema: tasks.graphql", "schema: nothing.graphql", "tasks.yaml:4:9: the schema nothing.graphql can't be read: "),
        ("null_if", "nul_if", "tasks.yaml:13:5: unknown key of the field `nul_if`; did you mean `null_if`?"),
        (
            "    let: {task: json.decode(string(reply.value))}\n",
            "    let: {args: reply}\n",
            "tasks.yaml:11:11: `args` are the arguments of the field; choose another name",
        ),
    ] {
        let lines = lint("tasks.yaml", from, to);
        assert!(lines.iter().any(|line| line.starts_with(problem)), "{problem}\n{lines:#?}");
    }
}

#[test]
fn problems_of_schemas_have_file_line_and_column() {
    for (from, to, problem) in [
        ("  task(id: ID!): Task\n", "  task(id: ID!): Tusk\n", "tasks.graphql:3:18: unknown type `Tusk`; did you mean `Task`?"),
        (
            "type Query {",
            "type Query {\n  more: Int",
            "tasks.graphql:2:3: the field Query.more has no mapping; add `more` to `queries` of tasks.yaml",
        ),
        ("type Query {", "type Query", "tasks.graphql:"),
        ("input: TaskInput!", "input: Task!", "tasks.graphql:10:28: `Task` is an object type; use an input type here"),
        (
            "  title: String!\n",
            "  title(short: Boolean): String!\n",
            "tasks.graphql:23:3: only the fields of operations can have arguments; remove those of `title`",
        ),
        (
            "enum Priority {",
            "union Both = Task | SavedTask\nenum Priority {",
            "tasks.graphql:46:1: `Both`: interfaces and unions are not supported; use an object type",
        ),
        (
            "  task(id: ID!): Task\n",
            "  task(id: ID!): Task!\n",
            "tasks.yaml:13:14: Query.task can't be null: its type is Task!; remove `null_if`, or the `!` in the schema",
        ),
        ("type Query", "type Queries", "tasks.graphql: the schema has no type `Query`"),
    ] {
        let lines = lint("tasks.graphql", from, to);
        assert!(lines.iter().any(|line| line.starts_with(problem)), "{problem}\n{lines:#?}");
    }
}

#[test]
fn a_configuration_is_refused_with_the_problems_of_its_definition() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(TASKS).unwrap().replace("rpc: Store", "rpc: Stora");
    fs::write(folder.path().join("tasks.yaml"), text).unwrap();
    fs::copy("examples/frontends/tasks.graphql", folder.path().join("tasks.graphql")).unwrap();
    let config = folder.path().join("prism.yaml");
    let write = |settings: &str| {
        let text = format!(
            "backends: {{ram: {{type: memory}}}}
frontends: {{tasks: {{definition: tasks.yaml, settings: {{{settings}}}}}}}
namespaces: [{{name: work, pattern: keyvalue, slots: {{storage: ram}}, frontends: [tasks, {{frontend: graphql, base_path: /tasks}}]}}]
"
        );
        fs::write(&config, text).unwrap();
        prism(&format!("validate {}", config.display())).stdout
    };
    let shown = write("federation: true, max_dept: 3");
    assert!(shown.contains("tasks.yaml:28:10: unknown RPC `Stora`; did you mean `Store`?"), "{shown}");
    assert!(shown.contains("max_dept"), "{shown}");
    assert!(shown.contains("`work` is reached by graphql under `/tasks` twice"), "{shown}");
    let shown = write("federation: true");
    assert!(shown.contains("`federation` can't be set for a definition"), "{shown}");
}
