"""FL-SNN: devices that learn online and send some of their synapses' basis functions (arXiv 1910.09594)."""
