"""The consortium profile on one machine: real geth validators and Kubo nodes, built, started and watched over."""
