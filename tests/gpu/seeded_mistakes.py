"""Calls that the real libraries refuse: the type check must find each marked line."""

import cudf
import cugraph
import cupy as cp

cp.arrange(3)  # MISTAKE: no such function
cp.zeros(3, dtyp=int)  # MISTAKE: no such keyword
cp.cuda.is_there()  # not found: the module is compiled, without types
cp.asarray([1]).to_numpy()  # not found: the class is compiled; the doubles refuse it
cugraph.Graph(undirected=True)  # MISTAKE: no such keyword
cugraph.strongly_connected_component(None)  # MISTAKE: no such function
cugraph.louvain(None, seed=1)  # MISTAKE: no such keyword
cudf.DataFrame({}).merge_on("a")  # not found: cuDF's frames look names up as columns
cudf.read_table("x")  # MISTAKE: no such function
cudf.Series([1]).to_cuppy()  # not found: the doubles refuse it
