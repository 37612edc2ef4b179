"""fl: devices and base stations.

Data, local training, the Flower ``ClientApp`` of a device, the strategy and trainer of a station, and the in-process
engine that runs them. Knows nothing of the chain.
"""
