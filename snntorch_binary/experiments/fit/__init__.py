"""`fit`, `validate` and `test`: one network, trained from a YAML file by the command line of Lightning."""
