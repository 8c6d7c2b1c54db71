//! Another process that answers the same questions: `tests/python/routing_reference.py` with networkx and
//! igraph.
#![allow(dead_code)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

pub struct Reference {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What a library found, and the nanoseconds it took.
pub struct Answer {
    pub costs: Vec<u64>,
    pub took_ns: u64,
}

impl Reference {
    /// Starts it, or says why not.
    ///
    /// # Panics
    /// When it can not be started although `LLMESH_REQUIRE_NETWORKX=1` says that it must.
    pub fn start() -> Result<Self, String> {
        Self::try_start().inspect_err(|why| {
            let required = env::var("LLMESH_REQUIRE_NETWORKX").is_ok_and(|value| value == "1");
            assert!(!required, "LLMESH_REQUIRE_NETWORKX=1, but {why}");
        })
    }

    fn try_start() -> Result<Self, String> {
        // Asked for at run time: a target folder can be shared by several checkouts.
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set: run it by cargo")?;
        let script = PathBuf::from(manifest_dir).join("../../tests/python/routing_reference.py");
        let cache = match (env::var_os("LLMESH_CACHE"), env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => PathBuf::from(home).join(".cache/llmesh"),
            (None, None) => return Err("neither LLMESH_CACHE nor HOME is set".into()),
        };
        let python = cache.join("venv-routing/bin/python");
        if !python.exists() {
            return Err("networkx and igraph are not installed; \
                        to install them: $LLMESH_PYTHON tests/python/routing_reference.py setup"
                .into());
        }
        let mut child = Command::new(python)
            .arg(script)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the reference does not start: {error}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut reference = Self { child, input, output };
        match reference.ask(&json!({ "op": "hello" })) {
            Some(_) => Ok(reference),
            None => Err("the reference does not answer; its error is above".into()),
        }
    }

    /// Names and versions of the libraries.
    pub fn versions(&mut self) -> String {
        self.must(&json!({ "op": "hello" }))["versions"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }

    /// Hands over a graph: nodes 0 .. `nodes`, arcs as (tail, head, weight).
    pub fn graph(&mut self, nodes: usize, arcs: &[(u32, u32, u64)]) {
        self.must(&json!({ "op": "graph", "nodes": nodes, "arcs": arcs }));
    }

    /// The weights of the `k` cheapest paths from `from` to any host (node, weight of serving).
    pub fn routes(&mut self, engine: &str, from: u32, hosts: &[(u32, u64)], k: usize) -> Answer {
        let answer =
            self.must(&json!({ "op": "routes", "engine": engine, "from": from, "hosts": hosts, "k": k }));
        let costs = answer["costs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|cost| cost.as_u64().expect("whole"));
        Answer {
            costs: costs.collect(),
            took_ns: answer["took_ns"].as_u64().expect("a time"),
        }
    }

    fn must(&mut self, question: &Value) -> Value {
        self.ask(question)
            .expect("the reference answers; its error is above")
    }

    fn ask(&mut self, question: &Value) -> Option<Value> {
        let input = self.input.as_mut()?;
        writeln!(input, "{question}").ok()?;
        input.flush().ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
