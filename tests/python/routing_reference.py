#!/usr/bin/env python3
"""The reference for llmesh-routing: the same questions, answered by networkx and igraph.

  routing_reference.py setup   makes the environment $LLMESH_CACHE/venv-routing with the pinned libraries
  routing_reference.py serve   answers questions: one JSON object a line in, one out

Questions (`op`):
  hello    -> {"versions": "networkx 3.6.1, igraph 1.0.0"}
  graph    {"nodes": n, "arcs": [[tail, head, weight], ...]} -> {}; what the following questions are about
  routes   {"engine": "networkx" or "igraph", "from": node, "hosts": [[node, weight], ...], "k": k}
           -> {"costs": [...], "took_ns": t}

Routes are the k cheapest simple paths from a node to any host, the host's weight added. Hosts become arcs to
one more node before the clock starts. Weights are whole numbers and add up to less than 2^53: igraph's
floating point is exact then.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
import venv


def setup():
    cache = os.environ.get("LLMESH_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "llmesh"
    )
    home = pathlib.Path(cache) / "venv-routing"
    requirements = pathlib.Path(__file__).with_name("requirements-routing.txt")
    venv.create(home, clear=True, with_pip=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--require-hashes", "-r", str(requirements)], check=True)
    print(f"networkx and igraph are in {home}")


class Networkx:
    def __init__(self, nodes, arcs):
        import networkx

        self.library = networkx
        self.target = nodes
        self.graph = networkx.DiGraph()
        self.graph.add_nodes_from(range(nodes + 1))
        self.graph.add_weighted_edges_from(arcs)

    def routes(self, source, hosts, k):
        graph, target = self.graph, self.target
        ends = [(host, target, weight) for host, weight in hosts]
        graph.add_weighted_edges_from(ends)
        start = time.perf_counter_ns()
        try:
            paths = self.library.shortest_simple_paths(graph, source, target, weight="weight")
            found = list(itertools.islice(paths, k))
        except self.library.NetworkXNoPath:
            found = []
        took = time.perf_counter_ns() - start
        costs = [
            sum(graph[tail][head]["weight"] for tail, head in itertools.pairwise(path)) for path in found
        ]
        graph.remove_edges_from([(tail, head) for tail, head, _ in ends])
        return costs, took


class Igraph:
    def __init__(self, nodes, arcs):
        import igraph

        self.target = nodes
        self.weights = [weight for _, _, weight in arcs]
        self.graph = igraph.Graph(
            n=nodes + 1,
            edges=[(tail, head) for tail, head, _ in arcs],
            directed=True,
            edge_attrs={"weight": self.weights},
        )

    def routes(self, source, hosts, k):
        graph, known = self.graph, len(self.weights)
        weights = self.weights + [weight for _, weight in hosts]
        graph.add_edges(
            [(host, self.target) for host, _ in hosts], attributes={"weight": [weight for _, weight in hosts]}
        )
        start = time.perf_counter_ns()
        found = graph.get_k_shortest_paths(
            source, to=self.target, k=k, mode="out", weights="weight", output="epath"
        )
        took = time.perf_counter_ns() - start
        graph.delete_edges(range(known, known + len(hosts)))
        return [sum(weights[edge] for edge in path) for path in found if path], took


ENGINES = {"networkx": Networkx, "igraph": Igraph}


def serve():
    import igraph
    import networkx

    engines = {}
    for line in sys.stdin:
        question = json.loads(line)
        if question["op"] == "hello":
            answer = {"versions": f"networkx {networkx.__version__}, igraph {igraph.__version__}"}
        elif question["op"] == "graph":
            arcs = [tuple(arc) for arc in question["arcs"]]
            engines = {name: make(question["nodes"], arcs) for name, make in ENGINES.items()}
            answer = {}
        else:
            engine = engines[question["engine"]]
            hosts = [tuple(host) for host in question["hosts"]]
            costs, took = engine.routes(question["from"], hosts, question["k"])
            answer = {"costs": costs, "took_ns": took}
        print(json.dumps(answer), flush=True)


def main():
    commands = {"setup": setup, "serve": serve}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    commands[sys.argv[1]]()


if __name__ == "__main__":
    main()
